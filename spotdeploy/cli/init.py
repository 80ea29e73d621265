"""`spotdeploy init`."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import tomli_w
import typer

from spotdeploy.cli import completion
from spotdeploy.config.keys import every_key
from spotdeploy.config.load import put
from spotdeploy.config.schema import Config
from spotdeploy.config.variables import toml_value
from spotdeploy.errors import ConfigError, RefusedError, SpotdeployError
from spotdeploy.payload.ignore import LITTER, NEVER
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.state.folder import IGNORE, NAME

CONFIG: Final = "spotdeploy.toml"
PAYLOAD: Final = "instance"
_PACKAGE: Final = Path(__file__).parents[1]
_NAME: Final = re.compile(r'^deployment = ".*"$', re.MULTILINE)
_PLACES: Final = ("regions", "locations")
"""What providers call the key that names their locations."""


def command(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path(),
    name: Annotated[str | None, typer.Option("--name", help="The deployment's name.")] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            help="A provider to use. Repeatable.",
            autocompletion=completion.providers,
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", help="A region of the provider. Repeatable."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the config. Repeatable."),
    ] = None,
) -> None:
    """Write a config and the reference payload.

    Without options the config is the annotated reference. With --provider, --region or --set it
    has just what they say; a value of --set is TOML, or else text.
    """
    chosen = choose(provider or (), region or (), values or ())
    for path in write(folder, name, chosen):
        typer.echo(f"wrote {path}")
    typer.echo("try: spotdeploy plan")


def offer(config: Path) -> None:
    """Ask a person at a terminal, in an empty folder, whether to write what `init` writes, and do
    so. Anywhere else and after a no, nothing is written, and the config stays missing."""
    here = config.absolute().parent
    is_empty = here.is_dir() and all(found.name.startswith(".") for found in here.iterdir())
    if config.name != CONFIG or not is_empty or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    question = f"{here} is empty. Write the reference payload, with its config, and run it?"
    if typer.confirm(question, default=True):
        for path in write(here, None, {}):
            typer.echo(f"wrote {path.relative_to(here)}")


def source() -> Path:
    """Where the reference files are: inside an installed package, or beside it in a checkout."""
    inside = _PACKAGE / "_reference"
    return inside if inside.is_dir() else _PACKAGE.parent


def choose(
    providers: Sequence[str], regions: Sequence[str], values: Sequence[str]
) -> dict[str, Any]:
    """The keys that the options ask for, as TOML data.

    Raises ConfigError for an option that no config can follow.
    """
    data: dict[str, Any] = {"providers": list(providers)} if providers else {}
    if regions:
        if len(providers) != 1:
            raise ConfigError("--region needs one --provider", hint="name the provider it is of")
        data["provider"] = {providers[0]: {_place_key(providers[0]): list(regions)}}
    text_keys = {key for key, forms in every_key(Config) if forms.text}
    for given in values:
        key, equals, value = given.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--set: {given!r} is not KEY=VALUE", hint="write it like nodes.count=3"
            )
        put(data, key, value if key in text_keys else _value(value), "--set")
    return data


def write(folder: Path, name: str | None, chosen: Mapping[str, Any]) -> list[Path]:
    """Write the config and the reference payload into `folder`, which is made if needed, and have
    git ignore the state folder.

    `name` becomes the deployment's name; the folder's own name is used when it is None.

    Raises:
        RefusedError: one of the files is there already; nothing was written.
        ConfigError: the name, the folder or a chosen key will not do; nothing was written.
    """
    targets = (folder / CONFIG, folder / PAYLOAD)
    for target in targets:
        if target.exists():
            raise RefusedError(
                f"{target} exists; nothing was written", hint="choose an empty folder"
            )
    text = _config(name or _from_folder(folder), chosen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        targets[0].write_text(text, encoding="utf-8")
        if chosen:
            _require_valid(targets[0])
        shutil.copytree(
            source() / PAYLOAD, targets[1], ignore=shutil.ignore_patterns(*LITTER, *NEVER)
        )
        ignore = _ignored(folder / IGNORE)
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}: {error.strerror}", hint="choose another folder"
        ) from error
    return [*targets, *ignore]


def _ignored(file: Path) -> list[Path]:
    """Keep keys and evidence out of git. The file, if it was changed."""
    known = file.read_text("utf-8", "replace") if file.is_file() else ""
    if {line.strip().strip("/") for line in known.splitlines()} & {NAME, f"**/{NAME}"}:
        return []
    with file.open("a", encoding="utf-8") as more:
        more.write(("\n" if known and not known.endswith("\n") else "") + f"{NAME}/\n")
    return [file]


def _config(name: str, chosen: Mapping[str, Any]) -> str:
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise ConfigError(
            f"--name: {name!r} should be lower case letters, digits and -, at most 40, "
            "beginning with a letter"
        )
    reference = (source() / CONFIG).read_text(encoding="utf-8")
    if not chosen:
        return _NAME.sub(f'deployment = "{name}"', reference, count=1)
    data = tomllib.loads(reference)
    kept: dict[str, Any] = {key: data[key] for key in ("nodes", "payload", "checks")}
    return tomli_w.dumps(_merged({"deployment": name, **kept}, chosen))


def _merged(data: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of both, key by key; of anything else, what stands over."""
    merged = dict(data)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def _require_valid(config: Path) -> None:
    """Take the file away again when it cannot be used. Raises ConfigError, or PluginError for an
    unknown provider."""
    try:
        project = Project.open(config)
        for name in project.providers:
            project.provider_config(name)
    except SpotdeployError:
        config.unlink()
        raise


def _place_key(provider: str) -> str:
    fields = Plugins().provider(provider).Config.__struct_fields__
    key = next((key for key in _PLACES if key in fields), None)
    if key is None:
        raise ConfigError(f"--region: {provider} has no regions", hint="leave it out")
    return key


def _value(text: str) -> object:
    try:
        return toml_value(text)
    except ValueError:
        return text


def _from_folder(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40].strip("-")
    return name if name[:1].isalpha() else "demo"
