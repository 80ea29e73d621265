"""One run: its project and plan, its locations, its journal, its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spotdeploy.check import Check
from spotdeploy.config.schema import Config
from spotdeploy.events import Bus, Note
from spotdeploy.model import Manifest, Node, Pool
from spotdeploy.project import Project
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


@dataclass(frozen=True)
class Run:
    """Everything a phase needs, passed along and never changed."""

    project: Project
    id: str
    plan: Plan
    locations: tuple[Location, ...]
    journal: Journal
    bus: Bus
    previous_locations: tuple[Location, ...] = ()
    """Locations the config no longer names, but where the journal knows of something."""

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
        """What is asked of each provider."""
        return self.project.pool

    @property
    def desired(self) -> int:
        """Nodes asked for, all providers together."""
        return self.config.nodes.count * len(self.providers)

    @property
    def quorum(self) -> int:
        """Nodes that must pass, all providers together."""
        nodes = self.config.nodes
        return (nodes.quorum or nodes.count) * len(self.providers)

    def of_provider(self, name: str) -> list[Location]:
        """The locations of one provider, first choice first."""
        return [location for location in self.locations if location.provider.name == name]

    def location_of(self, node: Node) -> Location:
        """The location that holds a node."""
        return next(one for one in self.all_locations if one.key == (node.provider, node.location))

    def close(self) -> None:
        """Let go of threads and files."""
        for location in self.all_locations:
            location.close()
        self.journal.close()


@contextmanager
def open_run(project: Project, plan: Plan, bus: Bus) -> Iterator[Run]:
    """A run with an id of its own, closed at the end.

    Raises PluginError and ConfigError for providers that cannot be opened, HostError for a journal
    that cannot be written.
    """

    def tell(text: str) -> None:
        bus.emit(Note(text=text))

    def warn(text: str) -> None:
        bus.emit(Note(text=text, warning=True))

    locations = tuple(Location(*one, tell) for one in project.open_providers())
    journal = Journal(project.journal_path, tell=warn)
    previous = _previous_locations(project, journal, locations, tell)
    run = Run(project, new_run_id(), plan, locations, journal, bus, previous)
    try:
        yield run
    finally:
        run.close()


def _previous_locations(
    project: Project,
    journal: Journal,
    present: Iterable[Location],
    tell: Callable[[str], None],
) -> tuple[Location, ...]:
    """A location for each place where the journal knows of something and `present` has none."""
    known = {(node.provider, node.location) for node in journal.nodes(project.deployment)}
    known |= {(one.provider, one.location) for one in journal.open_intents(project.deployment)}
    known |= {(one.provider, one.location) for one in journal.unproven(project.deployment)}
    known -= {location.key for location in present}
    return tuple(
        Location(project.open_provider(name, place), place, tell)
        for name, place in sorted(known)
        if name in project.providers
    )
