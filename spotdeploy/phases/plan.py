"""Plan: everything that can be read, asked and refused before anything is made or destroyed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotdeploy.check import Check, CheckSettings
from spotdeploy.config.load import decode
from spotdeploy.config.schema import Settings, Table
from spotdeploy.errors import CapacityError, ConfigError
from spotdeploy.events import Note, StepEnded, StepStarted
from spotdeploy.model import Offer
from spotdeploy.node.keys import Keys
from spotdeploy.node.user_data import Bootstrap
from spotdeploy.payload import hashes
from spotdeploy.payload.hashes import Digests
from spotdeploy.payload.manifest import build as build_manifest
from spotdeploy.plugins import Registry
from spotdeploy.run.context import Plan, Session
from spotdeploy.run.location import Location
from spotdeploy.text import counted


@dataclass(frozen=True)
class Prospects:
    """What the providers have to offer."""

    offers: dict[str, list[Offer]]
    """Provider to candidates, best first."""
    auto_shutdown: dict[str, str]
    """Location to what ends a node there if nobody comes back."""


def read_plan(registry: Registry, settings: Settings) -> Plan:
    """Build the manifest and the checks of a config.

    Raises ConfigError for anything in the config or the payload that cannot work.
    """
    config = settings.config.payload
    root = settings.resolve(config.path)
    uploads = [settings.resolve(path) for path in config.upload]
    manifest = build_manifest(root, uploads, digests=Digests(settings.state / hashes.FILE))
    _require_entry(root, config.entry)
    checks = read_checks(registry, settings)
    for check in checks:
        if message := check.objection(manifest):
            raise ConfigError(f"{settings.path.name}: check {check.name!r}: {message}")
    return Plan(manifest, checks)


def read_checks(registry: Registry, settings: Settings) -> tuple[Check[Any], ...]:
    """The configured checks and the two that always stand: payload and rebooted."""
    known = registry.checks(settings.config.plugins)
    tables = list(settings.config.checks)
    kinds = {table.get("type") for table in tables}
    always = ("payload", "rebooted") if settings.config.payload.reboot else ("payload",)
    tables += [{"type": kind} for kind in always if kind not in kinds]
    checks = tuple(_check(known, table, settings.path, index) for index, table in enumerate(tables))
    names = [check.name for check in checks]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(
                f"{settings.path.name}: checks[{index}]: a second check is named {name!r}",
                hint="give one of them a name of its own",
            )
    return checks


async def foresee(session: Session) -> Prospects:
    """Ask every location for its candidates, all at once. Makes nothing, prepares nothing."""
    found = await asyncio.gather(*(_ask(session, place) for place in session.locations))
    return _join(session, found)


async def find_offers(session: Session) -> Prospects:
    """Ask every location for its candidates, all at once, and have it made ready.

    Raises:
        CapacityError: a provider has no candidate at all within the limits.
        ConfigError: user-data would not fit.
    """
    session.bus.emit(StepStarted(step="plan"))
    try:
        found = await asyncio.gather(*(_offers(session, place) for place in session.locations))
        prospects = _join(session, found)
    except Exception as error:
        session.bus.emit(StepEnded(step="plan", ok=False, detail=str(error)))
        raise
    count = sum(map(len, prospects.offers.values()))
    session.bus.emit(StepEnded(step="plan", ok=True, detail=counted(count, "candidate")))
    return prospects


def user_data(session: Session, keys: Keys) -> bytes:
    """The user-data of this run, within the smallest limit of its providers."""
    nodes = session.settings.config.nodes
    limit = min(location.provider.user_data_limit for location in session.locations)
    return Bootstrap(nodes.user, keys, nodes.time_to_live).user_data(limit)


def _require_entry(root: Path, entry: str) -> None:
    if not (root / entry).is_file():
        raise ConfigError(
            f"payload.entry: {root / entry} does not exist",
            hint="name the script that deploys the payload, relative to path",
        )


def _check(known: dict[str, type[Check[Any]]], table: Table, path: Path, index: int) -> Check[Any]:
    where = f"checks[{index}]"
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(
            f"{path.name}: {where}.type: "
            + ("missing" if kind is None else f"{kind!r} is not a check"),
            hint=f"known checks: {', '.join(sorted(known))}",
        )
    settings: CheckSettings = decode(table, known[kind].Settings, path.name, where)
    return known[kind](settings, path.parent)


async def _offers(session: Session, location: Location) -> tuple[Location, list[Offer]]:
    found = await _ask(session, location)
    await location.prepare(lambda text: session.bus.emit(Note(text=text)))
    return found


async def _ask(session: Session, location: Location) -> tuple[Location, list[Offer]]:
    return location, list(await location.offers(session.pool))


def _join(session: Session, found: list[tuple[Location, list[Offer]]]) -> Prospects:
    offers: dict[str, list[Offer]] = {name: [] for name in session.providers}
    for location, more in found:
        if location.provider.name in offers:
            offers[location.provider.name] += more
    for name, some in offers.items():
        if not some:
            limit = session.pool.max_usd_per_hour
            within = f" at {limit} USD per hour or less" if limit else ""
            raise CapacityError(
                f"{name} has no {session.pool.policy} candidate{within}",
                hint="raise nodes.max_price, or allow more sizes or locations",
            )
    return Prospects(offers, {str(place): place.provider.auto_shutdown() for place, _ in found})
