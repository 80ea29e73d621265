"""What is typed most, answered without building the command line: `--help` and a plain `list`.

Whatever is not exactly that goes to the command line proper, mistakes included. Tests hold both to
the same answers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HELP: Final = Path(__file__).with_name("help.txt")
WIDTH: Final = 80
"""The screen that the stored help is made for."""


def quick(arguments: Sequence[str]) -> bool:
    """Answer the command line when it is one of these; False when it is not.

    Raises SpotdeployError as the command would.
    """
    if list(arguments) in (["--help"], ["-h"]) and _wide():
        os.write(1, HELP.read_bytes())
        return True
    wish = listing(arguments)
    if wish is None:
        return False
    from spotdeploy.cli.tables import show_nodes
    from spotdeploy.project import list_from

    config, providers, json = wish
    show_nodes(list_from(config, providers), as_json=json)
    return True


def listing(arguments: Sequence[str]) -> tuple[Path, list[str] | None, bool] | None:
    """Config, providers and JSON of a plain `list` command line; None for any other."""
    if not arguments or arguments[0] != "list":
        return None
    config, json = Path("spotdeploy.toml"), False
    providers: list[str] = []
    words = iter(arguments[1:])
    for word in words:
        if word == "--json":
            json = True
            continue
        value = next(words, "-")
        if value.startswith("-"):
            return None
        if word in ("--provider", "-p"):
            providers.append(value)
        elif word in ("--config", "-c"):
            config = Path(value)
        else:
            return None
    return config, providers or None, json


def _wide() -> bool:
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        return True
    return columns >= WIDTH
