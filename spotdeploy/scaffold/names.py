"""The names that follow from a plugin's name."""

from __future__ import annotations

import re
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.plugins import BUNDLED_CHECKS, PluginError, Plugins
from spotdeploy.scaffold.kinds import Kind

LONGEST: Final = 40
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_OURS: Final = frozenset({"libcloud"})
"""Packages of ours that are no plugins."""


def names(name: str, kind: Kind) -> dict[str, str]:
    """What the templates call things, for a new plugin.

    Raises:
        ConfigError: the name will not do, or something that is installed has it.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(
            f"{name!r} is no name for a plugin: it should be lower case letters, digits and "
            f"single hyphens, at most {LONGEST}, beginning with a letter",
            hint="spotdeploy plugins new acme",
        )
    _refuse_taken(name, kind)
    return {
        "name": name,
        "folder": f"spotdeploy-{name}",
        "package": f"spotdeploy_{name.replace('-', '_')}",
        "cls": _class_name(name),
        "kind": kind,
    }


def _class_name(name: str) -> str:
    words = "".join(part.capitalize() for part in name.split("-"))
    # pytest would take a class for tests in whose name this comes first
    return f"The{words}" if words.startswith("Test") else words


def _refuse_taken(name: str, kind: Kind) -> None:
    registry = Plugins()
    taken = {point.name: point for point in registry.known()}
    if name in taken or name in _OURS:
        raise ConfigError(
            f"a plugin named {name!r} is installed already", hint="choose another name"
        )
    try:
        types = [cls.kind for cls in registry.checks_of(BUNDLED_CHECKS)]
    except PluginError:
        types = []
    if kind is Kind.CHECK and name in types:
        raise ConfigError(
            f"a check of type {name!r} comes with spotdeploy", hint="choose another name"
        )
