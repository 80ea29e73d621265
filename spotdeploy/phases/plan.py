"""Plan: everything that can be read, asked and refused before anything is made or destroyed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spotdeploy.check import Check, CheckSettings, Mandatory
from spotdeploy.config.load import decode
from spotdeploy.config.schema import Table
from spotdeploy.config.secret import PayloadSecret
from spotdeploy.errors import CapacityError, ConfigError, SpotdeployError
from spotdeploy.events import Note, StepEnded, StepStarted
from spotdeploy.model import DEFAULT_GROUP, Offer
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.payload.variables import read_secrets, require_variables
from spotdeploy.phases.entry import read_entry
from spotdeploy.phases.findings import (
    Findings,
    examine_locations,
    of_plan,
    require_life,
    require_none_fatal,
    warnings,
)
from spotdeploy.project import Project
from spotdeploy.provider import problem_of
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import contained
from spotdeploy.text import counted


@dataclass(frozen=True)
class Prospects:
    """What the providers have to offer."""

    offers: dict[str, dict[str, list[Offer]]]
    """Group, then provider, to candidates, best first."""
    auto_shutdown: dict[str, str]
    """Location to what ends a node there if nobody comes back."""
    warnings: tuple[str, ...] = ()
    """What was found that does not stop the run."""


def read_plans(project: Project) -> dict[str, Plan]:
    """Build the manifest and the checks of each group of a project.

    Reads the payload's secrets, and runs their commands, once nothing else stands against the plan.
    Raises ConfigError for anything in the config or the payload that cannot work.
    """
    plans = {name: _read_plan(group) for name, group in project.groups.items()}
    read: list[tuple[Mapping[str, PayloadSecret], dict[str, str]]] = []
    for name, group in project.groups.items():
        references = group.config.payload.secrets
        secrets = next((values for known, values in read if known == references), None)
        if secrets is None:
            secrets = read_secrets(project.path.name, project.settings.folder, references)
            read.append((references, secrets))
        plans[name] = replace(plans[name], secrets=secrets)
    return plans


def _read_plan(project: Project) -> Plan:
    """The plan of a group, without the values of its secrets."""
    require_variables(project.path.name, project.config.payload)
    manifest = read_manifest(project.settings)
    entry = read_entry(project, manifest)
    checks = read_checks(project)
    for check in checks:
        if objection := check.objection(manifest):
            raise ConfigError(f"{project.path.name}: check {check.name!r}: {objection}")
    require_life(project, checks)
    for name in project.config.provider:
        project.provider_config(name)  # those that are not in use too
    return Plan(manifest, checks, entry)


def examine_config(project: Project) -> Findings:
    """What stands against the config and the payload."""
    where = project.path.name
    try:
        plans = read_plans(project)
    except SpotdeployError as error:
        return Findings(where, (problem_of(error),))
    problems = [of_plan(group, plans[name]) for name, group in project.groups.items()]
    return Findings(where, tuple(dict.fromkeys(itertools.chain(*problems))))


def read_checks(project: Project) -> tuple[Check[Any], ...]:
    """The configured checks, then the mandatory ones that the config does not name."""
    known = project.plugins.checks(project.config.plugins)
    tables = list(project.config.checks)
    kinds = {table.get("type") for table in tables}
    stages = {
        Mandatory.ALWAYS,
        *([Mandatory.AFTER_REBOOT] if project.config.payload.reboot else []),
    }
    mandatory = [kind for kind, cls in known.items() if cls.mandatory in stages]
    tables += [{"type": kind} for kind in mandatory if kind not in kinds]
    key = project.place("checks")
    all_ = [_check(known, one, project.path, f"{key}[{n}]") for n, one in enumerate(tables)]
    _require_groups(project, all_)
    checks = tuple(check for check in all_ if check.group in ("", project.group or DEFAULT_GROUP))
    names = [check.name for check in checks]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigError(
                f"{project.path.name}: {key}[{index}]: a second check is named {name!r}",
                hint="give one of them a name of its own",
            )
    return checks


def _require_groups(project: Project, checks: Sequence[Check[Any]]) -> None:
    """Refuse checks on nodes, or about nodes, that there are not. Raises ConfigError."""
    group = project.group or DEFAULT_GROUP
    there = tuple(project.settings.groups) or (DEFAULT_GROUP,)
    for check in checks:
        where = f"{project.path.name}: check {check.name!r}"
        for name in (check.group, check.asks):
            if name and name not in there:
                raise ConfigError(
                    f"{where}: there is no group {name!r}", hint=f"groups: {', '.join(there)}"
                )
        mine = check.group in ("", group)
        if not mine and "checks" in project.keys_given:
            raise ConfigError(
                f"{where}: it is a check of group {group}, to be asked by {check.group} alone",
                hint=f"move it to [[groups.{check.group}.checks]], or take from out",
            )
        if mine and check.asks and check.asks not in (group, *project.known_groups):
            raise ConfigError(
                f"{where}: the nodes of group {group} do not know those of {check.asks}",
                hint=f"let {group} come after it: groups.{group}.after, or check.from = another "
                "group's name",
            )


async def ask_offers(run: Run) -> Prospects:
    """Ask every location what stands against a cycle and for its candidates, all locations at
    once. Makes nothing, prepares nothing.

    Raises:
        CapacityError: a provider has no candidate at all within the limits.
        ConfigError: the config cannot work.
        ProviderError: a cloud would refuse.
    """
    own = [of_plan(group.project, group.plan) for group in run.groups]
    known = Findings(run.project.path.name, tuple(dict.fromkeys(itertools.chain(*own))))
    examined = asyncio.gather(
        *(examine_locations(group.project, group.locations) for group in run.groups)
    )
    found = await contained(run, examined, "asking what stands against the run")
    findings = [known, *itertools.chain(*found)]
    require_none_fatal(findings)
    offers = await asyncio.gather(*(_offers(group) for group in run.groups))
    return Prospects(
        {group.group: some for group, some in zip(run.groups, offers, strict=True)},
        {
            str(place): place.provider.auto_shutdown()
            for group in run.groups
            for place in group.locations
        },
        tuple(dict.fromkeys(warnings(findings))),
    )


async def find_offers(run: Run) -> Prospects:
    """As `ask_offers`, and have every location made ready. Raises what it raises."""
    run.bus.emit(StepStarted(step="plan"))
    try:
        prospects = await ask_offers(run)
        for text in prospects.warnings:
            run.bus.emit(Note(text=text, warning=True))
        places = dict.fromkeys(place for group in run.groups for place in group.locations)
        await asyncio.gather(*(_prepare(run, place) for place in places))
    except Exception as error:
        run.bus.emit(StepEnded(step="plan", ok=False, detail=str(error)))
        raise
    count = sum(len(some) for one in prospects.offers.values() for some in one.values())
    run.bus.emit(StepEnded(step="plan", ok=True, detail=counted(count, "candidate")))
    return prospects


def _check(known: dict[str, type[Check[Any]]], table: Table, path: Path, where: str) -> Check[Any]:
    kind = table.get("type")
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(
            f"{path.name}: {where}.type: "
            + ("missing" if kind is None else f"{kind!r} is not a check"),
            hint=f"known checks: {', '.join(sorted(known))}",
        )
    settings: CheckSettings = decode(table, known[kind].Settings, path.name, where)
    return known[kind](settings, path.parent)


async def _prepare(run: Run, location: Location) -> None:
    preparing = location.prepare(lambda text: run.bus.emit(Note(text=text)))
    await contained(run, preparing, f"preparing {location}")


async def _offers(run: Run) -> dict[str, list[Offer]]:
    """Each provider's candidates for the nodes of a group."""
    found = await asyncio.gather(*(_ask(run, place) for place in run.locations))
    offers: dict[str, list[Offer]] = {name: [] for name in run.providers}
    for location, more in zip(run.locations, found, strict=True):
        offers[location.provider.name] += more
    for name, some in offers.items():
        if not some:
            limit = run.pool.max_usd_per_hour
            within = f" at {limit} USD per hour or less" if limit else ""
            key = run.project.place("nodes.max_price")
            raise CapacityError(
                f"{run.named}{name} has no {run.pool.policy} candidate{within}",
                hint="allow more sizes or locations"
                + (f", or raise {key}: no unknown price is below it" if limit else ""),
            )
    return offers


async def _ask(run: Run, location: Location) -> Sequence[Offer]:
    return await contained(run, location.offers(run.pool), f"asking {location} for offers")
