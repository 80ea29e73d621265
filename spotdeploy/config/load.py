"""Reading spotdeploy.toml: TOML to structs, with errors that carry the key's path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from spotdeploy.config.schema import Config, Settings
from spotdeploy.config.secret import Secret
from spotdeploy.duration import Duration
from spotdeploy.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)
DEFAULT: Final = "spotdeploy.toml"


def load(path: Path) -> Settings:
    """Read a config file.

    Raises:
        ConfigError: missing, unreadable, not TOML, or not what `Config` says; the message names
            the file and the key's path.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} does not exist", hint="run 'spotdeploy init' to write one, or use --config"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, of UTF-8, or of Python: a number of 5,000 digits
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error
    settings = Settings(config=decode(data, Config, path.name), path=path.absolute())
    _check_together(settings.config, path.name)
    return settings


def read_settings(path: Path, providers: list[str] | None) -> tuple[Settings, tuple[str, ...]]:
    """The config and the providers wanted. Raises ConfigError for a provider named twice."""
    settings = load(path)
    names = tuple(providers or settings.config.providers)
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--provider: {name} is named twice")
    return settings, names


def decode(data: object, into: type[T], file: str, prefix: str = "") -> T:
    """Turn plain TOML data into a struct. `prefix` is the path of `data` inside the file."""
    try:
        return msgspec.convert(data, into, dec_hook=_custom)
    except msgspec.ValidationError as error:
        from spotdeploy.config.errors import explain

        raise explain(error, data, into, file, prefix) from error


def _custom(kind: type, value: object) -> object:
    if kind not in (Duration, Secret):
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        example = '"20s" or "2m"' if kind is Duration else '"env:NAME" or "file:PATH"'
        raise ValueError(f"should be text such as {example}, not {value!r}")  # noqa: TRY004  # msgspec turns ValueError into a path
    return kind(value)


def _check_together(config: Config, file: str) -> None:
    quorum, count = config.nodes.quorum, config.nodes.count
    if quorum is not None and quorum > count:
        raise ConfigError(f"{file}: nodes.quorum: {quorum} is more than nodes.count, {count}")
    entry = Path(config.payload.entry)
    if entry.is_absolute() or ".." in entry.parts:
        raise ConfigError(
            f"{file}: payload.entry: {entry} escapes the payload",
            hint="give a path inside payload.path",
        )
    for name in config.providers:
        if config.providers.count(name) > 1:
            raise ConfigError(f"{file}: providers: {name} is named twice")
