"""The tree is the architecture: arrows only run down, there is no circle, the core names no cloud.

Read from the imports of each module by `ast`, those inside functions and for types included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

FLOORS = (
    ("model", "errors", "labels", "text", "duration", "events", "ports", "redact", "spelling"),
    ("provider", "check", "hookspecs", "plugins"),
    ("config", "payload", "state", "patience", "project"),
    ("node",),
    ("run",),
    ("phases", "report"),
    ("cycle",),
    ("api",),
    ("cli",),
)
"""From the ground up. What stands on a floor may be imported from the floors above, and from the
same floor as long as there is no circle."""
BESIDE = {"live", "scaffold", "testing"}
"""What is not part of a run: it may use any floor, and the cli may use it."""
REPORT_USERS = {"api", "cli", "report"}
CLOUDS = ("spotdeploy_", "libcloud", "botocore", "boto3", "google", "azure")
ROOMS = [
    "spotdeploy",
    "providers/spotdeploy_aws",
    "providers/spotdeploy_azure",
    "providers/spotdeploy_gcp",
    "providers/spotdeploy_libcloud",
    "providers/spotdeploy_local",
    "plugins/spotdeploy_checks",
]


def modules(repository: Path, room: str) -> dict[str, Path]:
    """The name of each module of a package, and its file."""
    root = repository / room
    found = {}
    for file in root.rglob("*.py"):
        parts = file.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imports(file: Path) -> Iterator[str]:
    """What a module imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(known: dict[str, Path]) -> dict[str, set[str]]:
    """Each module and the modules of its package that it imports."""
    return {
        name: set(_without_parents(known.keys() & set(imports(file)) - {name}))
        for name, file in known.items()
    }


def _without_parents(names: set[str]) -> Iterator[str]:
    """`from a import b` reads b; that a comes along is no arrow of its own."""
    for name in names:
        if not any(other.startswith(f"{name}.") for other in names):
            yield name


def floor_of(module: str) -> int | None:
    room = module.split(".")[1] if "." in module else ""
    return next((n for n, rooms in enumerate(FLOORS) if room in rooms), None)


def _above(module: str, other: str) -> bool:
    there, here = floor_of(module), floor_of(other)
    return there is not None and here is not None and there > here


def test_every_room_of_the_core_has_a_floor(repository: Path) -> None:
    rooms = {name.split(".")[1] for name in modules(repository, "spotdeploy") if "." in name}
    assert rooms - {"__main__", "_reference"} == {r for floor in FLOORS for r in floor} | BESIDE


def test_an_arrow_only_runs_down(repository: Path) -> None:
    wrong = [
        f"{name} -> {one}"
        for name, used in graph(modules(repository, "spotdeploy")).items()
        for one in used
        if _above(one, name)
    ]
    assert wrong == []


def test_only_the_api_and_the_command_line_use_reports(repository: Path) -> None:
    wrong = [
        f"{name} -> {one}"
        for name, used in graph(modules(repository, "spotdeploy")).items()
        for one in used
        if one.startswith("spotdeploy.report") and name.split(".")[1] not in REPORT_USERS
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle(repository: Path, room: str) -> None:
    try:
        tuple(TopologicalSorter(graph(modules(repository, room))).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_core_names_no_cloud(repository: Path) -> None:
    wrong = [
        f"{name} -> {one}"
        for name, file in modules(repository, "spotdeploy").items()
        for one in imports(file)
        if one.startswith(CLOUDS)
    ]
    assert wrong == []


def test_nothing_but_the_contracts_is_used_by_plugins(repository: Path) -> None:
    """What our own providers and checks import is what a third party may import."""
    may = {"config.secret", "node.paths", *(room for floor in FLOORS[:2] for room in floor)}
    wrong = {
        one
        for room in ROOMS[1:]
        for file in modules(repository, room).values()
        for one in _without_parents(set(imports(file)))
        if one.startswith("spotdeploy.")
        and not any(one.startswith(f"spotdeploy.{name}") for name in may)
    }
    assert wrong == set()
