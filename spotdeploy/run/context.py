"""What one command works with: config, run id, locations, journal, events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spotdeploy import labels, project
from spotdeploy.check import Check
from spotdeploy.config.schema import Settings
from spotdeploy.events import Bus
from spotdeploy.model import Batch, Pool
from spotdeploy.payload.manifest import Manifest
from spotdeploy.plugins import Registry
from spotdeploy.redact import Redactor
from spotdeploy.run.location import Location
from spotdeploy.state.journal import Journal


@dataclass(frozen=True)
class Session:
    """Everything a phase needs, passed along and never changed."""

    settings: Settings
    run: str
    providers: tuple[str, ...]
    locations: tuple[Location, ...]
    journal: Journal
    bus: Bus
    previous_locations: tuple[Location, ...] = ()
    """Locations the config no longer names, but where the journal knows of nodes."""
    redactor: Redactor = field(default_factory=Redactor)
    """Takes the secrets in use out of what is kept."""

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.settings.config.deployment

    @property
    def scope(self) -> dict[str, str]:
        """The labels that select everything of this deployment."""
        return labels.scope(self.deployment)

    @property
    def all_locations(self) -> tuple[Location, ...]:
        """Where nodes of this deployment may be."""
        return self.locations + self.previous_locations

    @property
    def folder(self) -> Path:
        """Where this deployment's keys are."""
        return self.settings.state / self.deployment

    @property
    def pool(self) -> Pool:
        """What is wanted from each provider."""
        nodes = self.settings.config.nodes
        return Pool(nodes.count, nodes.market, nodes.max_price)

    @property
    def desired(self) -> int:
        """Nodes wanted, all providers together."""
        return self.settings.config.nodes.count * len(self.providers)

    @property
    def quorum(self) -> int:
        """Nodes that must pass, all providers together."""
        nodes = self.settings.config.nodes
        return (nodes.quorum or nodes.count) * len(self.providers)

    def of_provider(self, name: str) -> list[Location]:
        """The locations of one provider, first choice first."""
        return [location for location in self.locations if location.provider.name == name]

    def close(self) -> None:
        """Let go of threads and files."""
        for location in self.all_locations:
            location.close()
        self.journal.close()


@dataclass(frozen=True)
class Plan:
    """What is to be shipped and asked: read and checked before anything is made."""

    manifest: Manifest
    checks: tuple[Check[Any], ...]


def open_locations(
    registry: Registry, settings: Settings, providers: Iterable[str]
) -> tuple[Location, ...]:
    """One `Location` for each location of each provider."""
    return tuple(
        Location(provider, place)
        for provider, place in project.open_providers(registry, settings, providers)
    )


def open_previous_locations(
    registry: Registry,
    settings: Settings,
    providers: Sequence[str],
    journal: Journal,
    present: Iterable[Location],
) -> tuple[Location, ...]:
    """A `Location` for each place where the journal knows of nodes and `present` has none."""
    deployment = settings.config.deployment
    known = {(node.provider, node.location) for node in journal.nodes(deployment)}
    known |= {(one.provider, one.location) for one in journal.open_intents(deployment)}
    known -= {location.key for location in present}
    previous_locations = []
    for name, place in sorted(known):
        if name in providers:
            cls, config = project.provider_config(registry, settings, name)
            previous_locations.append(Location(cls(config, place), place))
    return tuple(previous_locations)


def new_batch(
    session: Session, token: str, count: int, user_data: bytes, digest: str, expires_at: float
) -> Batch:
    """One create call's request, with the labels on it."""
    nodes = session.settings.config.nodes
    return Batch(
        token=token,
        count=count,
        labels=labels.for_batch(session.deployment, session.run, token, digest, expires_at),
        user_data=user_data,
        user=nodes.user,
        open_ports=nodes.open_ports,
        allow_from=nodes.allow_from,
        time_to_live=float(nodes.time_to_live),  # what providers encode is a plain number
        max_usd_per_hour=nodes.max_price,
    )
