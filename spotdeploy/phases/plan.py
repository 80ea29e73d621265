"""Plan: everything that can be read, asked and refused before anything is made or destroyed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spotdeploy.check import Check, CheckSettings, Mandatory
from spotdeploy.config.load import decode
from spotdeploy.config.schema import Table
from spotdeploy.config.secret import PayloadSecret
from spotdeploy.errors import CapacityError, ConfigError, ProviderError, SpotdeployError
from spotdeploy.events import Note, StepEnded, StepStarted
from spotdeploy.model import DEFAULT_GROUP, Offer, Problem
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.payload.variables import read_secrets, require_variables
from spotdeploy.phases.before import require_syntax
from spotdeploy.phases.entry import read_entry
from spotdeploy.phases.findings import (
    Findings,
    examine_locations,
    of_plan,
    require_life,
    require_none_fatal,
    stand_in,
    warnings,
)
from spotdeploy.project import Project
from spotdeploy.provider import problem_of
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.run.outputs import require_outputs
from spotdeploy.run.trace import contained
from spotdeploy.text import counted, nearest


@dataclass(frozen=True)
class Prospects:
    """What the providers have to offer."""

    offers: dict[str, dict[str, list[Offer]]]
    """Group, then provider, to candidates, best first."""
    auto_shutdown: dict[str, str]
    """Location to what ends a node there if nobody comes back."""
    warnings: tuple[str, ...] = ()
    """What was found that does not stop the run."""
    usable: dict[str, tuple[Location, ...]] = field(default_factory=dict)
    """Group to its locations without those that are passed over."""


def read_plans(project: Project) -> dict[str, Plan]:
    """Build the manifest and the checks of each group of a project.

    Reads the payload's secrets, and runs their commands, once nothing else stands against the plan.
    Raises ConfigError for anything in the config or the payload that cannot work.
    """
    require_outputs(project)
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
    try:
        require_syntax(project, plans)
    except SpotdeployError as error:
        problems.append((problem_of(error),))
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

    Where locations stand in for each other, one whose cloud refuses or cannot be asked is passed
    over while another one is left.

    Raises:
        CapacityError: a provider, or all that share a count, have no candidate within the limits.
        ConfigError: the config cannot work.
        ProviderError: a cloud would refuse.
    """
    own = [of_plan(group.project, group.plan) for group in run.groups]
    known = Findings(run.project.path.name, tuple(dict.fromkeys(itertools.chain(*own))))
    asked = await contained(
        run,
        asyncio.gather(*(_examine(group, run.groups) for group in run.groups)),
        "asking what stands against the run",
    )
    findings = [known, *itertools.chain(*(found.values() for found in asked))]
    require_none_fatal(findings)
    answers = await asyncio.gather(
        *(
            _offers(group, [place for place, one in found.items() if not one.passed_over])
            for group, found in zip(run.groups, asked, strict=True)
        )
    )
    findings += itertools.chain(*(told for _, _, told in answers))
    names = [group.group for group in run.groups]
    return Prospects(
        {name: offers for name, (offers, _, _) in zip(names, answers, strict=True)},
        {
            str(place): place.provider.auto_shutdown()
            for group in run.groups
            for place in group.locations
        },
        tuple(dict.fromkeys(warnings(findings))),
        {name: usable for name, (_, usable, _) in zip(names, answers, strict=True)},
    )


async def find_offers(run: Run) -> Prospects:
    """As `ask_offers`, and have every location made ready. Raises what it raises."""
    run.bus.emit(StepStarted(step="plan"))
    try:
        prospects = await ask_offers(run)
        for text in prospects.warnings:
            run.bus.emit(Note(text=text, warning=True))
        places = dict.fromkeys(itertools.chain(*prospects.usable.values()))
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
        near = nearest(str(kind), known, 0.6)
        like = f"did you mean {near}? " if near else ""
        raise ConfigError(
            f"{path.name}: {where}.type: "
            + ("missing" if kind is None else f"{kind!r} is not a check"),
            hint=f"{like}known checks: {', '.join(sorted(known))}",
        )
    settings: CheckSettings = decode(table, known[kind].Settings, path.name, where)
    return known[kind](settings, path.parent)


async def _prepare(run: Run, location: Location) -> None:
    preparing = location.prepare(lambda text: run.bus.emit(Note(text=text)))
    await contained(run, preparing, f"preparing {location}")


async def _examine(group: Run, groups: Sequence[Run]) -> dict[Location, Findings]:
    """What stands against asking each location for nodes of one of the groups."""
    every = [one.project for one in groups]
    found = await examine_locations(group.project, group.locations, every)
    return dict(zip(group.locations, stand_in(found) if group.stand_in else found, strict=True))


async def _offers(
    run: Run, places: Sequence[Location]
) -> tuple[dict[str, list[Offer]], tuple[Location, ...], list[Findings]]:
    """Each provider's candidates for the nodes of a group, the locations that could be asked, and
    what is told of the others: there are some only where locations stand in for each other."""
    answers = await asyncio.gather(
        *(_ask(run, place) for place in places), return_exceptions=run.stand_in
    )
    offers: dict[Location, Sequence[Offer]] = {}
    silent: dict[Location, ProviderError] = {}
    for place, answer in zip(places, answers, strict=True):
        if isinstance(answer, ProviderError):
            silent[place] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            offers[place] = answer
    if not offers:
        raise next(iter(silent.values()))
    told = [Findings(str(one), (problem_of(why),)).passing_over() for one, why in silent.items()]
    by_provider = {
        name: [one for place, some in offers.items() if place.provider.name == name for one in some]
        for name in run.providers
    }
    return by_provider, tuple(offers), [*told, *_without(run, offers)]


def _without(run: Run, offers: Mapping[Location, Sequence[Offer]]) -> Iterator[Findings]:
    """What is told of providers that have no candidate while others of their walk have some.
    Raises CapacityError for a walk without any."""
    some = {place.provider.name for place, found in offers.items() if found}
    limit = run.pool.max_usd_per_hour
    within = f" at {limit} USD per hour or less" if limit else ""
    none = f"no {run.pool.policy} candidate{within}"
    key = run.project.place("nodes.max_price")
    hint = "allow more sizes or locations" + (
        f", or raise {key}: no unknown price is below it" if limit else ""
    )
    for walk in run.walks:
        if some.isdisjoint(walk):
            have = "has" if len(walk) == 1 else "have"
            raise CapacityError(f"{run.named}{' and '.join(walk)} {have} {none}", hint=hint)
        asked = {place.provider.name for place in offers}
        for name in walk:
            if name in asked and name not in some:
                yield Findings(f"{run.named}{name}", (Problem(none, hint, fatal=False),))


async def _ask(run: Run, location: Location) -> Sequence[Offer]:
    return await contained(run, location.offers(run.pool), f"asking {location} for offers")
