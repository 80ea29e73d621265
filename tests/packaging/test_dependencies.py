"""Every package that our code imports is declared where it is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

EXTRAS = {
    "spotdeploy/testing": ("testing",),
    "providers/spotdeploy_gcp": ("gcp",),
    "providers/spotdeploy_azure": ("azure",),
    "plugins/spotdeploy_checks": ("testinfra",),
}
"""What a folder may import besides the dependencies of all."""
FOLDERS = ("spotdeploy", "providers", "plugins")
NAME = re.compile(r"[A-Za-z0-9._-]+")


def declared(repository: Path, *extras: str) -> set[str]:
    """The names of the distributions that are installed with these extras."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {_normal(match[0]) for line in lines if (match := NAME.match(line))}


def imported(file: Path) -> Iterator[str]:
    """The top-level packages of others that a module imports, lazily or not."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and not top.startswith("spotdeploy"):
                yield name


@cache
def distributions(module: str) -> frozenset[str]:
    """The distributions that bring a module; of a namespace package, only those that hold it."""
    return frozenset(map(_normal, packages_distributions().get(module.partition(".")[0], ())))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def extras_of(path: str) -> tuple[str, ...]:
    return next((extras for folder, extras in EXTRAS.items() if path.startswith(folder)), ())


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_imported_is_declared(repository: Path, folder: str) -> None:
    missing = set()
    for file in (repository / folder).rglob("*.py"):
        path = str(file.relative_to(repository))
        allowed = declared(repository, *extras_of(path))
        missing |= {
            f"{path} imports {module}"
            for module in imported(file)
            if not distributions(module) & allowed
        }
    assert sorted(missing) == []
