"""One run: its project and plan, its locations, its journal, its events."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spotdeploy.check import Check
from spotdeploy.config.schema import Config
from spotdeploy.events import Bus, Note
from spotdeploy.model import DEFAULT_GROUP, Manifest, Node, Pool
from spotdeploy.project import Project, open_at
from spotdeploy.provider import ProviderConfig
from spotdeploy.run.location import Location
from spotdeploy.state.ids import new_run_id
from spotdeploy.state.journal import Journal


@dataclass(frozen=True)
class Plan:
    """What is to be shipped and checked: read and found good before anything is made."""

    manifest: Manifest = field(default_factory=lambda: Manifest(()))
    checks: tuple[Check[Any], ...] = ()
    entry: tuple[str, ...] = ()
    """The command that runs the payload's entry on a node."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The payload's secrets, by name: their values."""


def digest_of(plans: Iterable[Plan]) -> str:
    """What is shipped by several plans, as one word."""
    digests = dict.fromkeys(plan.manifest.digest for plan in plans)
    if len(digests) == 1:
        return next(iter(digests))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """Everything a phase needs, passed along and never changed."""

    project: Project
    id: str
    plan: Plan
    """What is shipped to its nodes and checked on them; each of several groups has its own."""
    locations: tuple[Location, ...]
    journal: Journal
    bus: Bus
    previous_locations: tuple[Location, ...] = ()
    """Locations the config no longer names, but where the journal knows of something."""
    parts: tuple[Run, ...] = ()
    """See `groups`; of a group itself, none."""
    series: str = ""
    """What sets the tokens of its create calls apart from those of other groups of the run."""

    @property
    def groups(self) -> tuple[Run, ...]:
        """The run as it is for the nodes of each group: with that group's project, plan and
        locations. Each after those that it waits for."""
        return self.parts or (self,)

    @property
    def group(self) -> str:
        """The group whose run this is."""
        return self.project.group or DEFAULT_GROUP

    @property
    def digest(self) -> str:
        """What is shipped to all nodes, as one word."""
        return digest_of(group.plan for group in self.groups)

    @property
    def named(self) -> str:
        """The group and a colon, to begin a line about it; empty where there is only one."""
        return f"{self.group}: " if self.project.group != DEFAULT_GROUP else ""

    @property
    def config(self) -> Config:
        """What the config says, the command line's options included."""
        return self.project.config

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.project.deployment

    @property
    def scope(self) -> dict[str, str]:
        """The labels that select everything of this deployment."""
        return self.project.scope

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers in use."""
        return self.project.providers

    @property
    def folder(self) -> Path:
        """Where this run's events, reports and evidence are."""
        return self.project.runs / self.id

    @property
    def all_locations(self) -> tuple[Location, ...]:
        """Where nodes of this deployment may be."""
        return self.locations + self.previous_locations

    @property
    def pool(self) -> Pool:
        """What is asked of each provider, for one group."""
        return self.project.pool

    @property
    def walks(self) -> tuple[tuple[str, ...], ...]:
        """The providers that `nodes.count` is asked of together, for each time that it is asked
        for: of one group."""
        return (self.providers,) if self.stand_in else tuple((name,) for name in self.providers)

    @property
    def stand_in(self) -> bool:
        """Whether the locations stand in for each other: what one cannot give another one is asked
        for, of whatever provider."""
        return self.config.nodes.placement != "each"

    @property
    def desired(self) -> int:
        """Nodes asked for, all providers together."""
        if self.parts:
            return sum(part.desired for part in self.parts)
        return self.config.nodes.count * len(self.walks)

    @property
    def quorum(self) -> int:
        """Nodes that must pass, all providers together."""
        if self.parts:
            return sum(part.quorum for part in self.parts)
        nodes = self.config.nodes
        return (nodes.quorum or nodes.count) * len(self.walks)

    def within(self, usable: Mapping[str, Sequence[Location]]) -> Run:
        """The run with no other locations than these, by group. Where the journal knows of
        something in one of the others, it is still one of those that a destroy must prove empty.
        """
        parts = [replace(group, locations=tuple(usable[group.group])) for group in self.groups]
        kept = {place.key for part in parts for place in part.locations}
        known = _known_places(self.journal, self.deployment)
        left = [place for place in self.locations if place.key not in kept and place.key in known]
        previous = (*self.previous_locations, *left)
        parts = [replace(part, previous_locations=previous) for part in parts]
        if not self.parts:
            return parts[0]
        locations = tuple(place for place in self.locations if place.key in kept)
        return replace(self, locations=locations, previous_locations=previous, parts=tuple(parts))

    def of_provider(self, name: str) -> list[Location]:
        """The locations of one provider, first choice first."""
        return [location for location in self.locations if location.provider.name == name]

    def location_of(self, node: Node) -> Location:
        """The location that holds a node."""
        return next(one for one in self.all_locations if one.key == (node.provider, node.location))

    def close(self) -> None:
        """Let go of threads and files."""
        for run in (self, *self.parts):
            for location in run.all_locations:
                location.close()
        self.journal.close()


@contextmanager
def open_run(project: Project, plans: Mapping[str, Plan], bus: Bus) -> Iterator[Run]:
    """A run with an id of its own, closed at the end. `plans` has the plan of each group; a group
    without one ships nothing.

    Raises PluginError and ConfigError for providers that cannot be opened, HostError for a journal
    that cannot be written.
    """

    def tell(text: str) -> None:
        bus.emit(Note(text=text))

    def warn(text: str) -> None:
        bus.emit(Note(text=text, warning=True))

    journal = Journal(project.journal_path, tell=warn)
    of_group = _open_locations(project, tell)
    every: dict[tuple[str, str], Location] = {}
    for one in itertools.chain(*of_group.values()):
        every.setdefault(one.key, one)
    locations = tuple(sorted(every.values(), key=lambda one: project.providers.index(one.key[0])))
    previous = _previous_locations(project, journal, locations, tell)
    whole = Run(project, new_run_id(), Plan(), locations, journal, bus, previous)
    parts = tuple(
        replace(
            whole,
            project=one,
            plan=plans.get(name, Plan()),
            locations=of_group[name],
            series=f"g{number}-" if number else "",
        )
        for number, (name, one) in enumerate(project.groups.items())
    )
    run = replace(whole, plan=parts[0].plan, parts=parts)
    try:
        yield run
    finally:
        run.close()


def _open_locations(
    project: Project, tell: Callable[[str], None]
) -> dict[str, tuple[Location, ...]]:
    """The locations of each group. Groups whose table of a provider is the same share them."""
    opened: list[tuple[str, ProviderConfig, tuple[Location, ...]]] = []
    found: dict[str, tuple[Location, ...]] = {}
    for group, one in project.groups.items():
        for name in project.providers:
            cls, config = one.provider_config(name)
            places = next((three[2] for three in opened if three[:2] == (name, config)), None)
            if places is None:
                names = cls.locations(config)
                places = tuple(Location(open_at(cls, config, p), p, tell) for p in names)
                opened.append((name, config, places))
            found[group] = (*found.get(group, ()), *places)
    return found


def _previous_locations(
    project: Project,
    journal: Journal,
    present: Iterable[Location],
    tell: Callable[[str], None],
) -> tuple[Location, ...]:
    """A location for each place where the journal knows of something and `present` has none."""
    known = _known_places(journal, project.deployment) - {location.key for location in present}
    return tuple(
        Location(project.open_provider(name, place), place, tell)
        for name, place in sorted(known)
        if name in project.providers
    )


def _known_places(journal: Journal, deployment: str) -> set[tuple[str, str]]:
    """The keys of the locations where the journal knows of something."""
    known = (journal.nodes, journal.open_intents, journal.unproven)
    return {(one.provider, one.location) for read in known for one in read(deployment)}
