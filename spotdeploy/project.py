"""From provider names in a config to provider objects, one for each location."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spotdeploy.config.load import decode
from spotdeploy.config.schema import Settings
from spotdeploy.plugins import Registry
from spotdeploy.provider import Provider, ProviderConfig, SupportsEverywhere


def open_providers(
    registry: Registry, settings: Settings, names: Iterable[str]
) -> list[tuple[Provider[Any], str]]:
    """An object for each location of each provider, with the location's name.

    Raises PluginError for an unknown provider, ConfigError for a bad `[provider.NAME]` table.
    """
    opened = []
    for name in names:
        cls, config = provider_config(registry, settings, name)
        opened += [(cls(config, place), place) for place in cls.locations(config)]
    return opened


def open_everywhere(
    registry: Registry, settings: Settings, names: Iterable[str]
) -> list[tuple[Provider[Any], str]]:
    """As `open_providers`, and an object for every other location that a provider can name.

    Asks the clouds. Raises what `open_providers` raises, and ProviderError.
    """
    opened = []
    for name in names:
        cls, config = provider_config(registry, settings, name)
        places = list(cls.locations(config))
        first = cls(config, places[0])
        if isinstance(first, SupportsEverywhere):
            places += [place for place in first.everywhere() if place not in places]
        opened += [(cls(config, place), place) for place in places]
    return opened


def provider_config(
    registry: Registry, settings: Settings, name: str
) -> tuple[type[Provider[Any]], ProviderConfig]:
    """A provider's class and its decoded `[provider.NAME]` table."""
    cls = registry.provider(name)
    table = settings.config.provider.get(name, {})
    return cls, decode(table, cls.Config, settings.path.name, f"provider.{name}")
