"""From the options of a command to a session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spotdeploy.config.load import read_settings
from spotdeploy.config.schema import Settings
from spotdeploy.plugins import Registry

if TYPE_CHECKING:
    from spotdeploy.check import Check
    from spotdeploy.events import Bus
    from spotdeploy.redact import Redactor
    from spotdeploy.run.context import Session

__all__ = ["new_registry", "opened", "read_redactor", "read_settings"]


def new_registry(settings: Settings) -> Registry:
    """The registry for a config: plugin paths are relative to its folder."""
    return Registry(settings.folder)


def read_redactor(
    registry: Registry, settings: Settings, providers: Iterable[str], checks: Iterable[Check[Any]]
) -> Redactor:
    """What takes the secrets of a config out of everything that is shown or kept."""
    from spotdeploy.project import provider_config
    from spotdeploy.redact import Redactor, secret_values

    configs = [provider_config(registry, settings, name)[1] for name in providers]
    settings_of_checks = [check.settings for check in checks]
    environment = settings.config.payload.environment
    return Redactor(secret_values(environment, *configs, *settings_of_checks))


@contextmanager
def opened(
    settings: Settings,
    registry: Registry,
    providers: tuple[str, ...],
    bus: Bus,
    redactor: Redactor | None = None,
) -> Iterator[Session]:
    """A session with its own run id, closed at the end."""
    from spotdeploy.redact import Redactor
    from spotdeploy.run.context import Session, open_locations, open_previous_locations
    from spotdeploy.state.ids import new_run_id
    from spotdeploy.state.journal import Journal

    locations = open_locations(registry, settings, providers)
    journal = Journal(settings.state / "journal.db")
    previous_locations = open_previous_locations(registry, settings, providers, journal, locations)
    session = Session(
        settings,
        new_run_id(),
        providers,
        locations,
        journal,
        bus,
        previous_locations,
        redactor or Redactor(),
    )
    try:
        yield session
    finally:
        session.close()
