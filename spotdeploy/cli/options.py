"""The options that several commands share."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spotdeploy.cli import completion

DEFAULT_CONFIG = Path("spotdeploy.toml")


class KeepChoice(StrEnum):
    """The values of `--keep`."""

    ALWAYS = "always"
    PASSING = "passing"
    NEVER = "never"


class EvidenceOf(StrEnum):
    """The values of `--evidence`."""

    FAILING = "failing"
    ALWAYS = "always"


def _find(context: typer.Context, value: Path) -> Path:
    """The config that is meant where none was named. Says which, unless it is in this folder."""
    source = context.get_parameter_source("config")
    named = source is not None and source.name != "DEFAULT"
    if named or value.exists() or context.resilient_parsing:
        return value
    from spotdeploy.config.find import find_config

    found = find_config(Path.cwd())
    if found is None:
        return value
    shown = os.path.relpath(found)
    sys.stderr.write(f"config: {shown}\n")
    return Path(shown)


Config = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        help="The config file; one in a folder above is found.",
        show_default=True,
        callback=_find,
    ),
]
Deployment = Annotated[
    str | None,
    typer.Option(
        "--deployment",
        metavar="NAME",
        help="A name instead of the config's.",
        autocompletion=completion.deployments,
    ),
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        "-p",
        help="A provider, instead of the config's. Repeatable.",
        autocompletion=completion.providers,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print data only, as JSON.")]
Keep = Annotated[
    KeepChoice | None,
    typer.Option("--keep", help="Which nodes stay when the run ends, instead of the config's."),
]
KeepFailed = Annotated[
    bool, typer.Option("--keep-failed", help="Keep the nodes of a run that failed, to look at.")
]
NoBefore = Annotated[
    bool, typer.Option("--no-before", help="Run nothing of [before]; the report says so.")
]
EvidenceChoice = Annotated[
    EvidenceOf | None,
    typer.Option("--evidence", help="Of which nodes it is kept, instead of the config's."),
]
Events = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="Write events here too, as JSON lines; - is standard output.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for a run on another computer, instead of refusing.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="AXIS=VALUE",
        help="Only the cells of the matrix with this value. Repeatable.",
        autocompletion=completion.cells,
    ),
]
Run = Annotated[
    str,
    typer.Argument(help="A run's id, its beginning, or 'last'.", autocompletion=completion.runs),
]
NodeName = Annotated[
    str,
    typer.Argument(
        help="A node's name or id, as 'list' shows it.", autocompletion=completion.nodes
    ),
]
NodeNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NODE|GROUP]...",
        help="Nodes or groups by name; all by default.",
        autocompletion=completion.nodes_and_groups,
    ),
]
