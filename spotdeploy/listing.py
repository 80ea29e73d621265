"""Listing nodes without starting a run: quick, and without a journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spotdeploy import labels, project
from spotdeploy.config.load import read_settings
from spotdeploy.config.schema import Settings
from spotdeploy.errors import RefusedError
from spotdeploy.model import Node, NodeState
from spotdeploy.plugins import Registry


def list_from(path: Path, providers: list[str] | None) -> list[Node]:
    """As `list_now`, for a config file. Raises ConfigError when it cannot be used."""
    settings, names = read_settings(path, providers)
    return list_now(Registry(settings.folder), settings, names)


def list_now(registry: Registry, settings: Settings, providers: Sequence[str]) -> list[Node]:
    """The deployment's nodes that are not gone, of all locations, in the providers' order."""
    scope = labels.scope(settings.config.deployment)
    opened = [provider for provider, _ in project.open_providers(registry, settings, providers)]
    if len(opened) == 1:
        lists = [opened[0].nodes(scope)]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(32, len(opened))) as threads:
            lists = list(threads.map(lambda one: one.nodes(scope), opened))
    return [node for nodes in lists for node in nodes if node.state is not NodeState.GONE]


def pick(nodes: Sequence[Node], wanted: str) -> Node:
    """The node of that name or id. Raises RefusedError naming the ones there are."""
    found = [node for node in nodes if wanted in (node.name, node.id)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(node.name for node in nodes) or "none"
    what = "no node" if not found else "more than one node"
    raise RefusedError(f"{what} is named {wanted!r}; there are: {there}", hint="spotdeploy list")
