"""Findings: what would stop a run, asked before anything is made or destroyed.

`doctor` shows them; `plan`, `cycle` and `create` refuse to go on when one is fatal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from spotdeploy import labels
from spotdeploy.check import Check
from spotdeploy.config.secret import named_secret, secret_parts
from spotdeploy.duration import spell
from spotdeploy.errors import ConfigError, ProviderError, SpotdeployError
from spotdeploy.model import DEFAULT_GROUP, PAYLOAD, Batch, FileKind, Manifest, PayloadFile, Problem
from spotdeploy.node import paths
from spotdeploy.node.user_data import SHORTEST_LIFE
from spotdeploy.payload.ignore import FILE
from spotdeploy.payload.manifest import dependency_folders
from spotdeploy.project import Project
from spotdeploy.provider import Provider, SupportsPeers, problem_of
from spotdeploy.run.context import Plan
from spotdeploy.run.location import Location


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one place."""

    where: str
    problems: tuple[Problem, ...]
    account: str = ""
    """Whose account it acts in, where the provider knows."""
    passed_over: bool = False
    """Whether the run does without this place."""

    @property
    def fatal(self) -> list[Problem]:
        """Those that would stop a run."""
        return [problem for problem in self.problems if problem.fatal]

    @property
    def blames_cloud(self) -> bool:
        """Whether something would stop a run, and nothing that the config or this computer is to
        blame for."""
        codes = {problem.exit_code for problem in self.fatal}
        return bool(codes) and ConfigError.exit_code not in codes

    def passing_over(self) -> Findings:
        """What is told when the run does without this place."""
        untold = "passed over, and not proven empty"
        told = [Problem(f"{untold}: {one.what}", one.remedy, fatal=False) for one in self.fatal]
        return replace(self, problems=tuple(told), passed_over=True)


def draft(project: Project) -> Batch:
    """What the create calls of a cycle will carry, for those who are asked beforehand: of no run,
    for as many nodes as must pass, or one where another provider may give the rest, and without
    user-data, which needs keys."""
    nodes = project.config.nodes
    talk = _talk(project)
    life = float(nodes.time_to_live)  # what providers encode is a plain number
    return Batch(
        token="plan",  # noqa: S106  # of a create call
        count=_least(project),
        labels=labels.for_batch(
            project.deployment,
            "plan",
            "plan",
            "",
            time.time() + life,
            project.group or DEFAULT_GROUP,
        ),
        user_data=b"",
        user=nodes.user,
        open_ports=nodes.open_ports,
        allow_from=nodes.allow_from,
        open_between=nodes.between if talk else None,
        time_to_live=life,
        max_usd_per_hour=nodes.max_price,
    )


async def examine_locations(
    project: Project,
    locations: Sequence[Location],
    groups: Iterable[Project] = (),
    *,
    account: bool = False,
) -> list[Findings]:
    """What is found in each location, all asked at once; with `account`, whose it is too. Quotas
    must have room for the like nodes of all `groups` of the run together. Changes nothing."""
    batch = draft(project)
    asked = []
    for one in locations:
        name = one.provider.name
        count = sum(_least(group) for group in groups if _is_like(group, project, name))
        mine = msgspec.structs.replace(batch, count=max(count, batch.count))
        asked.append(_examine(project, one, mine, account))
    return await asyncio.gather(*asked)


def _least(project: Project) -> int:
    """How many nodes a provider must give for the run to pass: one where another may give the
    rest."""
    nodes = project.config.nodes
    alone = nodes.placement == "each" or len(project.providers) == 1
    return (nodes.quorum or nodes.count) if alone else 1


def _is_like(group: Project, project: Project, provider: str) -> bool:
    """Whether a group asks a provider for such nodes as the project does."""
    if group is project:
        return True
    if provider not in group.providers or group.pool.policy != project.pool.policy:
        return False
    return group.provider_config(provider) == project.provider_config(provider)


def stand_in(findings: Sequence[Findings]) -> list[Findings]:
    """The findings of locations that stand in for each other: what a cloud is to blame for passes
    its location over, and stops no run while another location is left."""
    if all(one.fatal for one in findings):
        return list(findings)
    return [one.passing_over() if one.blames_cloud else one for one in findings]


def require_none_fatal(findings: Iterable[Findings]) -> None:
    """Refuse to go on when something would stop the run.

    Raises ConfigError when the config is to blame, else ProviderError: for the first problem,
    with the number of further ones.
    """
    found = [(one.where, problem) for one in findings for problem in one.fatal]
    if not found:
        return
    where, first = min(found, key=lambda one: one[1].exit_code)
    more = f"; 'spotdeploy doctor' shows {len(found) - 1} more" if found[1:] else ""
    kind = ConfigError if first.exit_code == ConfigError.exit_code else ProviderError
    raise kind(f"{where}: {first.what}", hint=f"{first.remedy}{more}")


def warnings(findings: Iterable[Findings]) -> list[str]:
    """What would not stop the run, each in a line with its remedy."""
    return [
        f"{one.where}: {problem.what}; {problem.remedy}"
        for one in findings
        for problem in one.problems
        if not problem.fatal
    ]


def require_life(project: Project, checks: Iterable[Check[Any]]) -> None:
    """Refuse a time to live that ends before any run could. Raises ConfigError."""
    life = project.config.nodes.time_to_live
    held = max((float(check.settings.stable_for) for check in checks), default=0.0)
    least = SHORTEST_LIFE + held
    if life < least:
        stable = f" and a stable_for of {spell(held)}" if held else ""
        raise ConfigError(
            f"{project.path.name}: nodes.time_to_live: {life} is shorter than any run: "
            f"{spell(SHORTEST_LIFE)} until the node is there{stable}",
            hint=f"give at least {spell(least)}; the timeouts together allow "
            f"{spell(longest_life(project, checks))}",
        )


def of_plan(project: Project, plan: Plan) -> tuple[Problem, ...]:
    """What is worth a warning in the config and the payload themselves."""
    return (
        *of_life(project, plan.checks),
        *of_network(project),
        *of_notify(project),
        *of_secrets(project, plan),
        *of_payload(project, plan.manifest),
        *of_checks(plan),
    )


def of_secrets(project: Project, plan: Plan) -> Iterator[Problem]:
    """Warn of a secret in the clear, and of units that will miss theirs after the reboot."""
    payload = project.config.payload
    for name, value in payload.environment.items():
        if named_secret(name) or any(secret_parts(value)):
            yield Problem(
                f"payload.environment.{name} holds a secret in the clear, by its name or form",
                f'move it: payload.secrets.{name} = "env:{name}"',
                fatal=False,
            )
    if not payload.secrets or payload.secrets_after_reboot or not payload.reboot:
        return
    for entry in plan.manifest.entries:
        if entry.path.endswith((".service", ".conf")) and _names_secrets(entry):
            yield Problem(
                f"{entry.path} reads {paths.SECRETS}, which the reboot takes away",
                "set payload.secrets_after_reboot",
                fatal=False,
            )


def _names_secrets(entry: PayloadFile) -> bool:
    try:
        return paths.SECRETS.encode() in entry.source.read_bytes()
    except OSError:
        return False  # it went away since plan; shipping tells


def of_life(project: Project, checks: Sequence[Check[Any]]) -> Iterator[Problem]:
    """Warn when a node may end itself within a run that is still within its timeouts."""
    life, longest = project.config.nodes.time_to_live, longest_life(project, checks)
    if life < longest:
        yield Problem(
            f"nodes.time_to_live is {life}, and the timeouts allow a run of {spell(longest)}: a "
            "node may end itself before its verdict",
            "raise nodes.time_to_live, or lower timeouts",
            fatal=False,
        )


def of_network(project: Project) -> Iterator[Problem]:
    """Tell of nodes that will not reach one another, since private addresses lead to one location,
    and of those that will over the internet."""
    nodes = project.config.nodes
    if nodes.open_between_locations and not _talk(project):
        yield Problem(
            "nodes.open_between_locations is true, and nodes.open_between has no ports",
            "name them there, or leave open_between_locations out",
            exit_code=ConfigError.exit_code,
        )
    places, unable = [], []
    for name in project.providers if nodes.open_between else ():
        cls, config = project.provider_config(name)
        places += [f"{name} {place}" for place in cls.locations(config)]
        unable += [] if issubclass(cls, SupportsPeers) else [name]
    if len(places) < 2:
        return
    where = f"{len(places)}, such as {places[0]} and {places[1]}"
    if not nodes.open_between_locations:
        yield Problem(
            f"nodes.open_between opens ports within a location, and nodes may be in {where}",
            "name one location, or set nodes.open_between_locations to true",
            fatal=False,
        )
    elif unable:
        yield Problem(
            f"nodes.open_between_locations: {unable[0]} cannot let in nodes from elsewhere",
            f"take it away, or leave {unable[0]} out of providers",
            exit_code=ConfigError.exit_code,
        )
    else:
        yield Problem(
            "nodes.open_between is open to the public addresses of this deployment's nodes in "
            f"other locations: nodes may be in {where}",
            "what they send one another crosses the internet: let the payload encrypt it",
            fatal=False,
        )


def of_notify(project: Project) -> Iterator[Problem]:
    """Warn of a web hook that nobody would be told by."""
    notify = project.config.notify
    if notify.webhook is None:
        return
    try:
        notify.hook()
    except ValueError as error:
        yield Problem(
            f"notify.webhook: {error}", "set it, or leave it out: nobody is told", fatal=False
        )


def _talk(project: Project) -> bool:
    """Whether nodes of any group open ports to others."""
    groups = project.settings.groups.values()
    return any(one.nodes.between for one in (project.config, *(g.config for g in groups)))


def of_checks(plan: Plan) -> Iterator[Problem]:
    """Warn of what looks like a mistake in a check and may be none."""
    for check in plan.checks:
        if doubt := check.doubt(plan.manifest):
            yield Problem(f"check {check.name!r}: {doubt}", "correct it if so", fatal=False)


def of_payload(project: Project, manifest: Manifest) -> Iterator[Problem]:
    """Warn of folders that were made for this computer, and of what others could read on a node
    and cannot read here."""
    for folder in dependency_folders(manifest):
        yield Problem(
            f"{folder} is shipped, and what is in it was made for this computer",
            f"put '{PurePosixPath(folder).name}/' into {FILE}, and let the entry install it",
            fatal=False,
        )
    if private := _widened(project, manifest):
        more = f" and {len(private) - 1} more" if len(private) > 1 else ""
        yield Problem(
            f"{private[0]}{more} can be read by its owner alone here, and by everybody on a node",
            "name it in payload.upload, where that is kept, or set payload.modes to exact",
            fatal=False,
        )


def of_destroy(project: Project, provider: Provider[Any]) -> Iterator[Problem]:
    """Warn when a destroy has less time than the cloud may hide what was just made."""
    limit, settle = project.config.timeouts.destroy, provider.settle_seconds
    if limit <= settle:
        yield Problem(
            f"timeouts.destroy is {limit}, and {provider.name} may hide for {spell(settle)} what "
            "was just made: a destroy that has to wait for that is told as a leak",
            "raise timeouts.destroy",
            fatal=False,
        )


def longest_life(project: Project, checks: Iterable[Check[Any]]) -> float:
    """Seconds from a node's creation to its verdict, at most."""
    timeouts = project.config.timeouts
    phases = timeouts.boot + timeouts.ship + timeouts.deploy
    rebooting = timeouts.reboot if project.config.payload.reboot else 0.0
    settings = [check.settings for check in checks]
    checking = max((one.within + one.stable_for for one in settings), default=0.0)
    return phases + rebooting + checking


def _widened(project: Project, manifest: Manifest) -> list[Path]:
    """What only its owner may read in the payload's tree. In one that is private as a whole, the
    umask is to blame, and nobody meant that."""
    payload = project.config.payload
    if payload.modes == "exact" or _is_private(project.resolve(payload.path)):
        return []
    return [
        entry.source
        for entry in manifest.entries
        if entry.path.startswith(f"{PAYLOAD}/")
        and entry.kind is not FileKind.LINK
        and _is_private(entry.source)
    ]


def _is_private(path: Path) -> bool:
    try:
        return not path.stat().st_mode & 0o077
    except OSError:
        return False  # gone since; shipping tells


async def _examine(project: Project, location: Location, batch: Batch, account: bool) -> Findings:
    try:
        problems = (
            *await location.problems(project.pool, batch),
            *of_destroy(project, location.provider),
        )
    except SpotdeployError as error:
        return Findings(str(location), (problem_of(error),))
    return Findings(str(location), problems, await _account(location) if account else "")


async def _account(location: Location) -> str:
    """For people; what keeps it from being told is a problem that the provider found itself."""
    try:
        return await location.account()
    except ProviderError:
        return ""
