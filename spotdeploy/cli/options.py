"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class KeepChoice(StrEnum):
    """The values of `--keep`."""

    ALWAYS = "always"
    PASSING = "passing"
    NEVER = "never"


class EvidenceOf(StrEnum):
    """The values of `--evidence`."""

    FAILING = "failing"
    ALWAYS = "always"


Config = Annotated[Path, typer.Option("--config", "-c", help="The config file.", show_default=True)]
Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", "-p", help="A provider, instead of the config's. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print data only, as JSON.")]
Keep = Annotated[
    KeepChoice | None,
    typer.Option("--keep", help="Which nodes stay when the run ends, instead of the config's."),
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
    ),
]
Run = Annotated[str, typer.Argument(help="A run's id, its beginning, or 'last'.")]
NodeNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NODE|GROUP]...", help="Nodes or groups by name; all by default."),
]
NodeName = Annotated[str, typer.Argument(help="A node's name or id, as 'list' shows it.")]

DEFAULT_CONFIG = Path("spotdeploy.toml")
