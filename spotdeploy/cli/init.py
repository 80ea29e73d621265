"""`spotdeploy init`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Final

import typer

from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.payload.manifest import IGNORED


def command(
    folder: Annotated[Path, typer.Argument(help="Where to lay it down.")] = Path(),
    name: Annotated[str | None, typer.Option("--name", help="The deployment's name.")] = None,
) -> None:
    """Lay down a config and the reference payload."""
    from spotdeploy.cli.init import lay_down

    for path in lay_down(folder, name):
        typer.echo(f"wrote {path}")
    typer.echo("try: spotdeploy plan")


CONFIG: Final = "spotdeploy.toml"
PAYLOAD: Final = "instance"
_PACKAGE: Final = Path(__file__).parents[1]
_NAME: Final = re.compile(r'^deployment = ".*"$', re.MULTILINE)


def source() -> Path:
    """Where the reference files are: inside an installed package, or beside it in a checkout."""
    inside = _PACKAGE / "_reference"
    return inside if inside.is_dir() else _PACKAGE.parent


def lay_down(folder: Path, name: str | None = None) -> list[Path]:
    """Copy the reference config and payload into `folder`, which is made if needed.

    `name` becomes the deployment's name; the folder's own name is used when it is None.

    Raises:
        RefusedError: one of the files is there already; nothing was written.
        ConfigError: the name or the folder will not do.
    """
    targets = (folder / CONFIG, folder / PAYLOAD)
    for target in targets:
        if target.exists():
            raise RefusedError(
                f"{target} exists; nothing was written", hint="choose an empty folder"
            )
    text = _named((source() / CONFIG).read_text(encoding="utf-8"), name or _from_folder(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        targets[0].write_text(text, encoding="utf-8")
        shutil.copytree(source() / PAYLOAD, targets[1], ignore=shutil.ignore_patterns(*IGNORED))
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    return list(targets)


def _named(text: str, name: str) -> str:
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise ConfigError(
            f"--name: {name!r} should be lower case letters, digits and -, at most 40, "
            "beginning with a letter"
        )
    return _NAME.sub(f'deployment = "{name}"', text, count=1)


def _from_folder(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40].strip("-")
    return name if name[:1].isalpha() else "demo"
