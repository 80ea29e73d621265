"""The two hooks a plugin may implement. They hand over classes; behaviour lives in the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from spotdeploy.check import Check
    from spotdeploy.provider import Provider

PROJECT = "spotdeploy"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function that implements a hook."""


@hookspec
def spotdeploy_register_provider() -> type[Provider[Any]] | None:
    """Called once, when a provider of this plugin is wanted.

    Return the provider's class, or None. Import it inside the hook, so that loading the plugin
    stays cheap; do not call the cloud. Not firstresult: two classes of one name are an error.
    """


@hookspec
def spotdeploy_register_checks() -> list[type[Check[Any]]] | None:
    """Called once, when checks are read from the config.

    Return the classes of the checks this plugin brings, or None. Not firstresult: the lists are
    joined, and two checks of one type are an error.
    """
