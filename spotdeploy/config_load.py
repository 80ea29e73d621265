"""Reading spotdeploy.toml: TOML to structs, with errors that carry the key's path."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from spotdeploy.config import Config, Settings
from spotdeploy.duration import Duration
from spotdeploy.errors import ConfigError
from spotdeploy.secret import Secret

T = TypeVar("T", bound=msgspec.Struct)
DEFAULT: Final = "spotdeploy.toml"
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<key>[^`]*)`")
_PATTERN: Final = re.compile(r"Expected `str` matching regex .*")
_WORDS: Final = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "array": "a list", "object": "a table", "null": "nothing",
}  # fmt: skip


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    settings = Settings(config=decode(data, Config, path.name), path=path.absolute())
    _check_together(settings.config, path.name)
    return settings


def decode(data: object, into: type[T], file: str, prefix: str = "") -> T:
    """Turn plain TOML data into a struct. `prefix` is the path of `data` inside the file."""
    try:
        return msgspec.convert(data, into, dec_hook=_custom)
    except msgspec.ValidationError as error:
        raise _explain(error, data, into, file, prefix) from error


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


def _explain(
    error: msgspec.ValidationError, data: object, into: type[msgspec.Struct], file: str, prefix: str
) -> ConfigError:
    what, _, where = str(error).partition(" - at `$")
    path = (prefix + where.rstrip("`")).strip(".")
    if unknown := _UNKNOWN.match(what):
        key = unknown["key"]
        near = difflib.get_close_matches(key, _known(into, where.rstrip("`")), n=1, cutoff=0.5)
        return ConfigError(
            f"{file}: {_join(path, key)}: unknown key",
            hint=f"did you mean {_join(path, near[0])}?"
            if near
            else "run 'spotdeploy schema' for all keys",
        )
    if missing := _MISSING.match(what):
        return ConfigError(f"{file}: {_join(path, missing['key'])}: missing, and it has no default")
    value = _at(data, where.rstrip("`"))
    if _PATTERN.match(what):
        what = "should be lower case letters, digits and -, beginning with a letter"
    return ConfigError(f"{file}: {path}: {_plain(what)}{_but(value, what)}")


def _plain(what: str) -> str:
    """Say msgspec's "Expected `int`, got `str`" the way people say it."""
    match = re.match(r"Expected `([^`]*)`, got `([^`]*)`", what)
    if not match:
        return what[0].lower() + what[1:] if what.startswith("Expected") else what
    wanted, got = (
        " or ".join(_WORDS.get(w, w) for w in side.split(" | ")) for side in match.groups()
    )
    return f"should be {wanted}, not {got}"


def _but(value: object, what: str) -> str:
    if value is None or isinstance(value, dict | list) or repr(value) in what:
        return ""
    return f" (it is {value!r})"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _steps(where: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", where)


def _at(data: object, where: str) -> object:
    for step in _steps(where):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit():
            data = data[int(step)]
        else:
            return None
    return data


def _known(into: type[msgspec.Struct], where: str) -> list[str]:
    """The keys a table may have, found by walking the struct types along the path."""
    kind: object = into
    for step in _steps(where):
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}  # type: ignore[arg-type]  # a struct
        kind = fields.get(step)
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    return [field.encode_name for field in msgspec.structs.fields(kind)]
