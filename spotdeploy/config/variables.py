"""Environment variables that stand for keys of the config: SPOTDEPLOY_NODES__COUNT is
`nodes.count`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from spotdeploy.config.keys import Forms, every_key
from spotdeploy.config.schema import Config, Matrix, Nodes, OwnKeys
from spotdeploy.errors import ConfigError
from spotdeploy.text import nearest

PREFIX: Final = "SPOTDEPLOY_"
BETWEEN: Final = "__"
"""Between the tables and the key of a path. `nodes.count` is SPOTDEPLOY_NODES_COUNT as well."""
_NEAR: Final = 0.85
"""How like a known name one must be that has no `__` to be taken for a misspelt one: others may be
of somebody else's programs."""
_EXPORTED: Final = re.compile(r"SPOTDEPLOY_(OUTPUT_\w+|\w+_\d+_[A-Z_]+|\w+_ADDRESSES)")
"""What `spotdeploy export --format env` sets, however like a known name it is."""
ON_NODE: Final = "SPOTDEPLOY_NODE_ID"
FACTS: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("DEPLOYMENT", "RUN", "NODE", "NODE_NAME", "NODE_ID", "GROUP", "INDEX", "COUNT"),
        *("PROVIDER", "LOCATION", "ZONE", "SIZE", "MARKET", "ADDRESS", "PRIVATE_ADDRESS"),
    )
)
"""What an entry is told of its node: where ON_NODE is set, these stand for no keys."""
_WHOLE: Final = ("provider", "groups", "matrix", "outputs")
"""Tables of which a variable stands for a key, and never for the whole: what it does not say, such
as an account, would be lost."""
_AS_SPELLED: Final = ("payload.environment", "payload.secrets")
"""Tables whose keys are names of variables themselves."""
_TEXT: Final = Forms(text=True, other=False)
_ANY: Final = Forms(text=True, other=True)


class Variable(NamedTuple):
    """A variable that is set."""

    name: str
    key: str
    """By its path."""
    value: object
    """As TOML has it."""


def read_variables(data: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Variable]:
    """Each variable that stands for a key of a config whose file says `data`.

    Raises ConfigError for one that stands for none and is meant to, with the nearest name, and for
    two that stand for the same key.
    """
    told = FACTS if ON_NODE in environment else frozenset[str]()
    found = sorted(name for name in environment if name.startswith(PREFIX) and name not in told)
    if not found:
        return
    core = dict(every_key(Config))
    names = {name: key for key in core if key not in _WHOLE for name in _names(key)}
    seen: dict[str, str] = {}
    for name in found:
        key = names.get(name) or _in_table(name, data)
        if key is None and _is_meant(name, names):
            raise _unknown(name, _nearest(name, names, 0.6))
        if key is None:
            continue
        if key in seen:
            raise ConfigError(
                f"{seen[key]} and {name} both stand for {key}", hint=f"unset {seen[key]}"
            )
        seen[key] = name
        yield Variable(name, key, _value(environment[name], name, core.get(key) or _forms(key)))


def _is_meant(name: str, names: Mapping[str, str]) -> bool:
    """Whether a variable that stands for no key was to stand for one."""
    if BETWEEN in name or name.removeprefix(PREFIX).lower() in _WHOLE:
        return True
    return not _EXPORTED.fullmatch(name) and _nearest(name, names, _NEAR) is not None


def toml_value(text: str) -> object:
    """The value that a text is in TOML. Raises ValueError."""
    return tomllib.loads(f"value = {text}")["value"]


def _names(key: str) -> tuple[str, ...]:
    """The variables that stand for a key of the core."""
    path = key.upper()
    return PREFIX + path.replace(".", BETWEEN), PREFIX + path.replace(".", "_")


def _in_table(name: str, data: Mapping[str, Any]) -> str | None:
    """The key inside a table whose keys others know; None for what is in none."""
    head, *rest = name.removeprefix(PREFIX).split(BETWEEN)
    match head, rest:
        case ("PAYLOAD", ["ENVIRONMENT" | "SECRETS" as table, *more]) if all(more) and more:
            return f"payload.{table.lower()}.{BETWEEN.join(more)}"
        case ("OUTPUTS", [key]) if key:
            return f"outputs.{key.lower()}"
        case ("MATRIX", [axis]) if axis:
            return f"matrix.{_named(name, axis, data, 'matrix', Matrix.__struct_fields__)}"
        case ("PROVIDER", [provider, *more]) if more and all(more):
            keys = (one.lower() for one in more)
            return ".".join(("provider", _known(provider, data, "provider"), *keys))
        case ("GROUPS", [group, *more]) if more and all(more):
            return _in_group(name, group, more, data)
    return None


def _in_group(name: str, group: str, more: list[str], data: Mapping[str, Any]) -> str:
    found = _named(name, group, data, "groups")
    inner = _in_table(PREFIX + BETWEEN.join(more), {}) if more[0] in ("PAYLOAD", "PROVIDER") else ""
    return f"groups.{found}.{inner or '.'.join(more).lower()}"


def _named(
    name: str, text: str, data: Mapping[str, Any], table: str, others: Iterable[str] = ()
) -> str:
    """The group or axis that a variable means: one that the file names, or one of `others`. A new
    one would be a misspelt one."""
    there = data.get(table)
    known = [*(there if isinstance(there, dict) else ()), *others]
    found = _known(text, data, table)
    if found in known:
        return found
    near = nearest(found, known, 0.6)
    rest = name.removeprefix(f"{PREFIX}{table.upper()}{BETWEEN}{text}")
    mended = f"{PREFIX}{table.upper()}{BETWEEN}{_upper(near)}{rest}" if near else None
    raise _unknown(name, mended)


def _known(text: str, data: Mapping[str, Any], table: str) -> str:
    """The name in a table that a variable means: it has no small letters and no `-`."""
    names = data.get(table)
    there = names if isinstance(names, dict) else {}
    return next((name for name in there if _upper(name) == text), text.lower())


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _forms(key: str) -> Forms:
    """How the value of a key that is not of the core's own tables may be written."""
    table, _, last = key.rpartition(".")
    if table.endswith(_AS_SPELLED) or table == "outputs":
        return _TEXT
    if table.count(".") == 1 and table.startswith("groups."):
        return {**dict(every_key(Nodes)), **dict(every_key(OwnKeys))}.get(last, _ANY)
    return _ANY


def _value(text: str, name: str, forms: Forms) -> object:
    """Text as it is where a key takes nothing else, and what is not TOML where it takes both."""
    if forms.text and not forms.other:
        return text
    try:
        return toml_value(text)
    except ValueError as error:
        if forms.text:
            return text
        raise ConfigError(
            f"{name}: {text!r} is not a value as in TOML",
            hint='write it like 3, true or ["a", "b"]',
        ) from error


def _unknown(name: str, near: str | None) -> ConfigError:
    return ConfigError(
        f"{name}: there is no such key",
        hint=f"did you mean {near}?" if near else "'spotdeploy config' lists the keys",
    )


def _nearest(name: str, names: Mapping[str, str], cutoff: float) -> str | None:
    """The known name that is most like this one, both without what all begin with."""
    short = {one.removeprefix(PREFIX): one for one in names}
    near = nearest(name.removeprefix(PREFIX), short, cutoff)
    return short[near] if near else None
