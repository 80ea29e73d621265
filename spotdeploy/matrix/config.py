"""`[matrix]`: reading it, and refusing what makes no cells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from spotdeploy.config.errors import quoted
from spotdeploy.config.load import decode
from spotdeploy.config.schema import Matrix, Table
from spotdeploy.errors import ConfigError
from spotdeploy.matrix.cells import Cell, Value, Values, combine, name_cells
from spotdeploy.model import MarketPolicy
from spotdeploy.payload.variables import require_text
from spotdeploy.plugins import PluginError, Plugins
from spotdeploy.text import counted, nearest

PREFIX: Final = "SPOTDEPLOY_MATRIX_"
"""Of the variable that has a cell's value of an axis."""
LISTS: Final = ("include", "exclude")
LIMITS: Final = ("max_cells", "max_parallel")
MOST: Final = 100_000
"""Combinations that are looked at."""
_AXIS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_KINDS: Final = {
    dict: "a table",
    list: "a list",
    float: "a number with a fraction",
}


def variable(axis: str) -> str:
    """The variable that has a cell's value of an axis."""
    return PREFIX + axis.upper().replace("-", "_")


def read_limits(table: Table, file: str) -> Matrix:
    """How many cells there may be, in all and at the same time. Raises ConfigError."""
    return decode({key: table[key] for key in LIMITS if key in table}, Matrix, file, "matrix")


def read_cells(table: Table, deployment: str, file: str, plugins: Plugins) -> tuple[Cell, ...]:
    """The cells of a `[matrix]`, in the order in which GitHub makes its jobs.

    Raises ConfigError, with the path, for what is no value, for an axis twice, for a cell twice,
    and for no cell or more than `max_cells`.
    """
    limits = read_limits(table, file)
    axes = {
        key: _axis(value, key, file) for key, value in table.items() if key not in (*LISTS, *LIMITS)
    }
    _require_names(axes, file)
    include, exclude = (_entries(table.get(key, []), key, axes, file) for key in LISTS)
    for path, axis, value in _every_value(axes, include):
        _require_meaning(f"{file}: {path}", axis, value, plugins)
    _require_axes(exclude, axes, file)
    possible = math.prod(map(len, axes.values()))
    _require_few(possible, MOST, " before any is excluded, and the most are", file)
    combinations = combine(axes, include, exclude)
    if not combinations:
        raise ConfigError(
            f"{file}: matrix: it has no cells",
            hint='give it an axis, such as python = ["3.12"], or leave out [matrix]',
        )
    _require_few(len(combinations), limits.max_cells, ", and max_cells is", file)
    cells = name_cells(deployment, combinations)
    for index, cell in enumerate(cells):
        _require_names(cell.values, file)
        for axis, text in cell.texts.items():
            require_text(f"{file}: matrix.{axis}", variable(axis), text)
        if cell.name in (other.name for other in cells[:index]):
            raise ConfigError(
                f"{file}: matrix.include: two cells are {cell}", hint="leave one of them out"
            )
    return tuple(cells)


def _require_axes(exclude: Iterable[Values], axes: Mapping[str, object], file: str) -> None:
    for index, entry in enumerate(exclude):
        for key in entry:
            if key not in axes:
                raise ConfigError(
                    f"{file}: matrix.exclude[{index}].{quoted(key)}: there is no such axis",
                    hint=f"the axes: {', '.join(axes) or 'none'}",
                )


def _require_few(count: int, most: int, rule: str, file: str) -> None:
    if count > most:
        raise ConfigError(
            f"{file}: matrix: it has {counted(count, 'cell')}{rule} {most}",
            hint="exclude some, give it fewer axes or values, or raise matrix.max_cells",
        )


def _axis(given: Any, key: str, file: str) -> tuple[Value, ...]:
    path = f"{file}: matrix.{quoted(key)}"
    near = nearest(key, (*LISTS, *LIMITS), 0.75)
    hint = f"did you mean matrix.{near}?" if near else f'write {key} = ["a", "b"]'
    if not isinstance(given, list):
        raise ConfigError(f"{path}: an axis is a list of values", hint=hint)
    if not given:
        raise ConfigError(f"{path}: an axis has at least one value", hint="leave it out")
    for index, value in enumerate(given):
        _require_value(f"{path}[{index}]", value, hint)
        if any(type(value) is type(other) and value == other for other in given[:index]):
            raise ConfigError(f"{path}[{index}]: {value!r} is named twice", hint="leave one out")
    return tuple(given)


def _entries(given: Any, key: str, axes: Mapping[str, object], file: str) -> list[dict[str, Value]]:
    """The entries of `include` or `exclude`; an axis in other capitals is that axis, as GitHub has
    it."""
    path = f"{file}: matrix.{key}"
    if not isinstance(given, list):
        raise ConfigError(f"{path}: should be a list of tables", hint=f"write [[matrix.{key}]]")
    spelling = {axis.lower(): axis for axis in axes}
    entries: list[dict[str, Value]] = []
    entry: Any
    for index, entry in enumerate(given):
        where = f"{path}[{index}]"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where}: should be a table", hint=f"write [[matrix.{key}]]")
        if not entry:
            raise ConfigError(f"{where}: is empty", hint="leave it out")
        for name, value in entry.items():
            _require_value(f"{where}.{quoted(name)}", value)
        _require_names(entry, file, f"matrix.{key}[{index}]")
        entries.append({(spelling.get(name.lower()) or name): v for name, v in entry.items()})
    return entries


def _require_names(names: Iterable[str], file: str, table: str = "matrix") -> None:
    """Refuse what makes no variable, or one that another makes too."""
    made: dict[str, str] = {}
    for name in names:
        path = f"{file}: {table}.{quoted(name)}"
        if not _AXIS.fullmatch(name):
            raise ConfigError(
                f"{path}: an axis is named by letters, digits, _ and -, and begins with no digit",
                hint="rename it: it becomes a variable's name",
            )
        other = made.setdefault(variable(name), name)
        if other != name:
            raise ConfigError(
                f"{path}: {other} makes the variable {variable(name)} too", hint="rename one"
            )


def _require_value(path: str, value: object, hint: str | None = None) -> None:
    if isinstance(value, float):
        hint = f'write "{value}" in quotes: 3.10 without them would be 3.1'
    if not isinstance(value, str | int):
        kind = next((word for kind, word in _KINDS.items() if isinstance(value, kind)), "a date")
        raise ConfigError(
            f"{path}: should be text, a whole number, true or false, not {kind}", hint=hint
        )


def _every_value(
    axes: Mapping[str, Iterable[Value]], include: Iterable[Values]
) -> Iterable[tuple[str, str, Value]]:
    """Each value with its path and its axis."""
    for axis, values in axes.items():
        for index, value in enumerate(values):
            yield f"matrix.{axis}[{index}]", axis, value
    for index, entry in enumerate(include):
        for axis, value in entry.items():
            yield f"matrix.include[{index}].{axis}", axis, value


def _require_meaning(path: str, axis: str, value: Value, plugins: Plugins) -> None:
    """Refuse a value of an axis with a meaning that has none."""
    if axis not in ("image", "size", "arch", "market", "provider"):
        return
    if not isinstance(value, str):
        raise ConfigError(f"{path}: should be text, not {value!r}")
    if axis == "market" and value not in list(MarketPolicy):
        raise ConfigError(
            f"{path}: {value!r} is not a choice", hint=f"one of: {', '.join(MarketPolicy)}"
        )
    if axis == "provider":
        try:
            plugins.provider(value)
        except PluginError as error:
            raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error
