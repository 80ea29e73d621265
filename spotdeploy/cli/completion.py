"""What TAB offers: names from the config, the journal and the folders of runs.

Runs nothing of the project, asks no cloud, writes nothing, and offers nothing where anything is
wrong: a shell's prompt is no place for errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from spotdeploy.config.schema import Settings

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")
"""What a shell puts into its line as it is."""
_RUNS: Final = 20
"""So many of the last runs are offered."""


def providers(incomplete: str) -> list[str]:
    """The installed plugins that may be providers; none is imported."""
    from spotdeploy.plugins import BUNDLED_CHECKS, Plugins

    return _fitting(
        lambda: (point.name for point in Plugins().known() if point.name != BUNDLED_CHECKS),
        incomplete,
    )


def groups(context: typer.Context, incomplete: str) -> list[str]:
    """The groups of the config."""
    from spotdeploy.model import DEFAULT_GROUP

    return _fitting(lambda: _settings(context).groups or [DEFAULT_GROUP], incomplete)


def cells(context: typer.Context, incomplete: str) -> list[str]:
    """Each value of each axis of the matrix, as AXIS=VALUE."""
    return _fitting(
        lambda: (
            f"{axis}={value}"
            for axis, values in (_settings(context).config.matrix or {}).items()
            if isinstance(values, list) and not any(isinstance(one, dict) for one in values)
            for value in values
        ),
        incomplete,
    )


def nodes(context: typer.Context, incomplete: str) -> list[str]:
    """The nodes that were not seen gone, as the journal knows."""
    query = "SELECT name FROM node WHERE gone_at IS NULL ORDER BY name"
    return _fitting(lambda: _known(context, query), incomplete)


def nodes_and_groups(context: typer.Context, incomplete: str) -> list[str]:
    """Both of these."""
    return [*nodes(context, incomplete), *groups(context, incomplete)]


def deployments(context: typer.Context, incomplete: str) -> list[str]:
    """The deployments that there were runs of, as the journal knows."""
    query = "SELECT DISTINCT deployment FROM run ORDER BY deployment"
    return _fitting(lambda: _known(context, query), incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """The last runs, newest first."""

    def named() -> Iterable[str]:
        from spotdeploy.report.run_store import LAST, RUNS

        folders = sorted((_settings(context).state / RUNS).iterdir(), reverse=True)
        return [LAST, *(folder.name for folder in folders[:_RUNS])]

    return _fitting(named, incomplete)


def _fitting(find: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    try:
        return [one for one in find() if one.startswith(incomplete) and _SAFE.fullmatch(one)]
    except Exception:  # noqa: BLE001  # see the module's first lines
        return []


def _settings(context: typer.Context) -> Settings:
    """The config that the command line means so far."""
    from spotdeploy.config.find import NAME, find_config
    from spotdeploy.config.load import load

    path = Path(context.params.get("config") or NAME)
    return load(path if path.exists() else find_config(Path.cwd()) or path)


def _known(context: typer.Context, query: str) -> list[str]:
    """What the journal answers. Nothing is written: where no run has it open, it is all in its one
    file, beside which SQLite would otherwise make others
    (https://www.sqlite.org/wal.html#read_only_databases)."""
    import sqlite3
    from contextlib import closing

    path = _settings(context).state / "journal.db"
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as database:
        return [name for (name,) in database.execute(query)]
