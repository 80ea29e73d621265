"""`spotdeploy ssh`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, NodeName, Providers


def command(
    node: NodeName,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]", help="A command to run instead.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
) -> None:
    """Look around on a node; it cannot verify green again."""
    import os

    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.node.access import open_by_hand

    settings, providers = read_settings(config, provider)
    line = open_by_hand(new_registry(settings), settings, providers, node, words or [])
    os.execvp(line[0], line)  # noqa: S606  # the terminal now belongs to OpenSSH
