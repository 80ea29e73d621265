"""`spotdeploy plugins new`: the folder of a plugin that works, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.scaffold.kinds import Kind
from spotdeploy.scaffold.names import names
from spotdeploy.scaffold.source import source

TEMPLATES: Final = Path(__file__).with_name("templates")
_SUFFIX: Final = ".j2"
_PACKAGE: Final = "PACKAGE"
"""In a template's path, stands for the name of the package."""


def write(name: str, kind: Kind, parent: Path, *, bare: bool = False) -> Path:
    """Write the folder `spotdeploy-NAME` into `parent` and return it. `bare` is for the smallest
    provider.

    Raises:
        ConfigError: the name or `parent` will not do, or a check shall be bare; nothing was
            written.
        RefusedError: the folder is there already; nothing was written.
    """
    if bare and kind is not Kind.PROVIDER:
        raise ConfigError(f"--bare: a {kind} is small as it is", hint="leave --bare out")
    words = names(name, kind)
    target = parent / words["folder"]
    if not parent.is_dir():
        raise ConfigError(f"--folder: {parent} is not a folder", hint=f"mkdir -p {parent}")
    if target.exists():
        raise RefusedError(
            f"{target} exists; nothing was written", hint="remove it, or choose another --folder"
        )
    layers = ("any_provider", "bare" if bare else kind) if kind is Kind.PROVIDER else (kind,)
    files = dict(rendered(words, ("common", *layers)))
    try:
        _write_all(files, target)
    except OSError as error:
        raise ConfigError(f"cannot write to {parent}: {error.strerror}") from error
    return target


def rendered(words: Mapping[str, str], layers: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Each file of the new folder, from these folders of templates: its path in there and its
    text."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701  # Python and TOML, not HTML
    )
    for folder in (TEMPLATES / layer for layer in layers):
        for file in sorted(folder.rglob(f"*{_SUFFIX}")):
            path = str(file.relative_to(folder)).removesuffix(_SUFFIX)
            template = environment.from_string(file.read_text(encoding="utf-8"))
            yield (
                Path(path.replace(_PACKAGE, words["package"])),
                template.render(words, version=version("spotdeploy"), source=source()),
            )


def _write_all(files: Mapping[Path, str], target: Path) -> None:
    """Write beside the target first: it appears whole, or not at all."""
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for path, text in files.items():
            file = beside / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        beside.chmod(0o777 & ~_umask())
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
