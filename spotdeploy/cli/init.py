"""`spotdeploy init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="Where to lay it down.")] = Path(),
    name: Annotated[str | None, typer.Option("--name", help="The deployment's name.")] = None,
) -> None:
    """Lay down a config and the reference payload."""
    from spotdeploy.cli.reference import lay_down

    for path in lay_down(folder, name):
        typer.echo(f"wrote {path}")
    typer.echo("try: spotdeploy plan")
