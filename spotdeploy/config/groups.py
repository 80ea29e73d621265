"""`[groups.NAME]`: what a group says, over what the config says for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

import msgspec

from spotdeploy.config.schema import Config, Group, Name, Nodes, OwnKeys, Payload, Table
from spotdeploy.errors import ConfigError

_OWN: Final = (*OwnKeys.__struct_fields__, "payload", "checks", "provider")
RESERVED: Final = ("here", "node")
"""No names of groups: to checks they mean something else."""
Decode = Callable[[object, Any, str, str], Any]
"""Data, the struct it is to be, the file, and its path in there: the struct. Raises ConfigError."""


def read_groups(config: Config, file: str, decode: Decode) -> dict[str, Group]:
    """The groups that a config names, each after those that it waits for.

    Raises ConfigError with the path of what will not do.
    """
    for name in config.groups:
        if name in RESERVED or not _is_name(name):
            raise ConfigError(
                f"{file}: groups: {name!r} is no name of a group",
                hint="write it in lower case letters, digits and -, beginning with a letter; "
                "here and node mean something else to checks",
            )
    groups = {
        name: _group(config, table, file, f"groups.{name}", decode)
        for name, table in config.groups.items()
    }
    return {name: groups[name] for name in _in_order(groups, file)}


def _is_name(text: str) -> bool:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return True


def collapsed(nodes: Nodes, where: str) -> Nodes:
    """With `allow_from` normalised and collapsed once for all providers.

    Raises ConfigError for what is no network; `where` names the table.
    """
    if not nodes.allow_from:
        return nodes
    from spotdeploy.config.cidr import collapse, network

    for index, text in enumerate(nodes.allow_from):
        try:
            network(text)
        except ValueError as error:
            raise ConfigError(f"{where}.allow_from[{index}]: {error}") from error
    return msgspec.structs.replace(nodes, allow_from=collapse(nodes.allow_from))


def _group(config: Config, table: Table, file: str, where: str, decode: Decode) -> Group:
    nodes = {key: value for key, value in table.items() if key not in _OWN}
    own = decode(
        {key: table[key] for key in OwnKeys.__struct_fields__ if key in table},
        OwnKeys,
        file,
        where,
    )
    payload = _table(table, "payload", file, where)
    provider = _table(table, "provider", file, where)
    checks = table.get("checks", config.checks)
    if not isinstance(checks, list | tuple) or not all(isinstance(one, dict) for one in checks):
        raise ConfigError(f"{file}: {where}.checks: should be tables: [[{where}.checks]]")
    merged = msgspec.structs.replace(
        config,
        nodes=collapsed(_over(config.nodes, nodes, Nodes, file, where, decode), f"{file}: {where}"),
        payload=_over(config.payload, payload, Payload, file, f"{where}.payload", decode),
        checks=tuple(checks),
        provider=_merged(config.provider, provider, file, f"{where}.provider"),
        groups={},
    )
    return Group(config=merged, where=where, keys=_keys(table), **msgspec.structs.asdict(own))


def _over(base: Any, table: Table, kind: type[Any], file: str, where: str, decode: Decode) -> Any:
    """A struct with the keys of a table over it; a table inside it is merged by key."""
    given = decode(table, kind, file, where)
    values = {key: getattr(given, key) for key in table}
    for key, value in values.items():
        if isinstance(value, dict):
            values[key] = {**getattr(base, key), **value}
    return msgspec.structs.replace(base, **values)


def _merged(base: Mapping[str, Table], tables: Table, file: str, where: str) -> dict[str, Table]:
    merged = dict(base)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {where}.{name}: should be a table: [{where}.{name}]")
        merged[name] = {**base.get(name, {}), **table}
    return merged


def _table(table: Table, key: str, file: str, where: str) -> Table:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: {where}.{key}: should be a table: [{where}.{key}]")
    return found


def _keys(table: Table, prefix: str = "") -> frozenset[str]:
    """The path of every key that a group gives, below the group."""
    inner = [_keys(value, f"{prefix}{key}.") for key, value in table.items() if type(value) is dict]
    return frozenset(f"{prefix}{key}" for key in table).union(*inner)


def _in_order(groups: Mapping[str, Group], file: str) -> tuple[str, ...]:
    """The names, each after those it waits for, else as they are written."""
    for name, group in groups.items():
        for other in group.after:
            if other not in groups:
                raise ConfigError(
                    f"{file}: groups.{name}.after: there is no group {other!r}",
                    hint=f"groups: {', '.join(groups)}",
                )
    try:
        return tuple(TopologicalSorter({n: g.after for n, g in groups.items()}).static_order())
    except CycleError as error:
        circle = " after ".join(reversed(error.args[1]))
        raise ConfigError(
            f"{file}: groups.{error.args[1][0]}.after: a group waits for itself: {circle}",
            hint="take one of them out of after",
        ) from error
