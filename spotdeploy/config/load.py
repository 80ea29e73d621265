"""Reading the config: spotdeploy.toml, then the environment, then options, each above the last."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from spotdeploy.config.groups import collapsed, read_groups
from spotdeploy.config.schema import Config, Group, Settings
from spotdeploy.config.secret import NOT_WRITTEN, PayloadSecret, Secret
from spotdeploy.duration import Duration
from spotdeploy.errors import ConfigError
from spotdeploy.ports import PortRange

T = TypeVar("T", bound=msgspec.Struct)
DEEPEST: Final = 2
"""Dots in the longest path of a key: `provider.aws.regions`."""
_FREE: Final = ("payload.environment", "payload.secrets")
_KEY: Final = re.compile(r"[\w.-]+")


def load(
    path: Path,
    options: Mapping[str, tuple[str, object]] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Read a config. `options` has, for an option of the command line, its key and its value;
    None as the value is an option that was not given.

    Raises:
        ConfigError: missing, unreadable, not TOML, or not what `Config` says; the message names
            the file, variable or option and the key's path.
    """
    data, file = _read(path), path.name
    sources = dict.fromkeys(_keys(data), file)
    given = [(name, key, value) for name, (key, value) in (options or {}).items()]
    for name, key, value in (*_variables(data, environment), *given):
        if value is not None:
            put(data, key, value, name)
            sources[key] = name
    try:
        config = _decode_config(data, file)
        groups = read_groups(config, file, decode)
    except ConfigError as error:
        raise blamed(error, file, sources) from error
    for group in groups.values() or (Group(config=config),):
        _check_together(group, file, sources)
    return Settings(config=config, path=path.absolute(), sources=sources, groups=groups)


def blamed(error: ConfigError, file: str, sources: Mapping[str, str]) -> ConfigError:
    """The same error about a key of the config, named by the variable or option that gave it, where
    that was not the file."""
    about = error.message.removeprefix(f"{file}: ")
    key = found[0] if (found := _KEY.match(about)) else ""
    given: set[str] = set()
    while key and not given:
        given = {sources[one] for one in sources if one == key or one.startswith(f"{key}.")}
        key = key.rpartition(".")[0]
    if about == error.message or len(given) != 1 or file in given:
        return error
    return ConfigError(f"{given.pop()}: {about}", hint=error.hint)


def decode(data: object, into: type[T], file: str, prefix: str = "") -> T:
    """Turn plain TOML data into a struct. `prefix` is the path of `data` inside the file."""
    try:
        return msgspec.convert(data, into, dec_hook=_custom)
    except msgspec.ValidationError as error:
        from spotdeploy.config.errors import explain

        raise explain(error, data, into, file, prefix) from error


def put(data: dict[str, Any], key: str, value: object, source: str) -> None:
    """Set a key, given by its path, in TOML data; tables on the way are made.

    Raises ConfigError, which names the `source` of the value, when one of them is no table.
    """
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: {key}: {table} is not a table", hint="name it once")
    data[last] = value


def _read(path: Path) -> dict[str, Any]:
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} does not exist", hint="run 'spotdeploy init' to write one, or use --config"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, of UTF-8, or of Python: a number of 5,000 digits
        from spotdeploy.config.errors import explain_toml

        raise explain_toml(error, path, text) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error


def _decode_config(data: dict[str, Any], source: str) -> Config:
    """The config, with `nodes.allow_from` normalised and collapsed once for all providers."""
    config = decode(data, Config, source)
    return msgspec.structs.replace(config, nodes=collapsed(config.nodes, f"{source}: nodes"))


def _custom(kind: type[Any], value: object) -> object:
    if kind is PortRange:
        return PortRange(value)
    if kind not in (Duration, Secret, PayloadSecret):
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        if issubclass(kind, Secret):
            raise ValueError(NOT_WRITTEN + kind.written)  # noqa: TRY004  # as below
        raise ValueError(f'should be text such as "20s" or "2m", not {value!r}')  # noqa: TRY004  # msgspec turns ValueError into a path
    return kind(value)


def _keys(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The path of every key; what a plugin's key or a free table holds is that one's value."""
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and path not in _FREE and path.count(".") < DEEPEST:
            yield from _keys(value, f"{path}.")
        else:
            yield path


def _variables(data: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Any]:
    """What variables say; nothing is imported where there are none."""
    if any(name.startswith("SPOTDEPLOY_") for name in environment):
        from spotdeploy.config.variables import read_variables

        yield from read_variables(data, environment)


def _check_together(group: Group, file: str, sources: Mapping[str, str]) -> None:
    """What no single key is to blame for."""
    config = group.config
    quorum, count = config.nodes.quorum, config.nodes.count
    if quorum is not None and quorum > count:
        raise ConfigError(
            f"{file}: {group.path('nodes.quorum')}: {quorum} is more than "
            f"{group.path('nodes.count')}, {count}"
        )
    entry = Path(config.payload.entry)
    if entry.is_absolute() or ".." in entry.parts:
        raise ConfigError(
            f"{file}: {group.path('payload.entry')}: {entry} escapes the payload",
            hint="give a path inside payload.path",
        )
    for name in config.providers:
        if config.providers.count(name) > 1:
            source = sources.get("providers", file)
            where = source if source.startswith("--") else f"{source}: providers"
            raise ConfigError(f"{where}: {name} is named twice")
