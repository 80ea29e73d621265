"""No circle among the modules of the provider, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "spotdeploy_local"


@pytest.fixture
def modules(repository: Path) -> Mapping[str, set[str]]:
    """Each module of the provider with those that it imports."""
    return import_graph(repository / "providers", PACKAGE)


def import_graph(folder: Path, package: str) -> Mapping[str, set[str]]:
    """Each module of a package with the modules of the package that it names in an import."""
    files = {module_name(folder, file): file for file in (folder / package).rglob("*.py")}
    return {
        name: {
            target if target in files else target.rpartition(".")[0]
            for target in imported_names(ast.parse(file.read_text()))
            if target.partition(".")[0] == package
        }
        for name, file in files.items()
    }


def module_name(folder: Path, file: Path) -> str:
    return ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is imported, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """The module or folder right below the package."""
    return module.partition(".")[2].partition(".")[0]


def test_no_module_imports_itself_by_way_of_others(modules: Mapping[str, set[str]]) -> None:
    assert len(modules) > 1
    TopologicalSorter(modules).prepare()


def test_no_room_imports_itself_by_way_of_others(modules: Mapping[str, set[str]]) -> None:
    rooms: dict[str, set[str]] = {}
    for module, targets in modules.items():
        rooms.setdefault(room(module), set()).update(map(room, targets))
    TopologicalSorter({name: targets - {name} for name, targets in rooms.items()}).prepare()


def test_a_circle_through_a_function_s_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    for name, text in {
        "__init__": "",
        "one": "from house import two\n",
        "two": "def later():\n    from house.one import thing\n",
    }.items():
        (tmp_path / "house" / f"{name}.py").write_text(text)
    graph = import_graph(tmp_path, "house")
    assert graph == {"house": set(), "house.one": {"house.two"}, "house.two": {"house.one"}}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
