"""The tree, the package list and the entry points agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from spotdeploy.config.load import load
from spotdeploy.config.schema import Config


def packages(repository: Path) -> set[str]:
    found = {"spotdeploy"}
    for folder in ("providers", "plugins"):
        found |= {
            f"{folder}/{path.parent.name}" for path in (repository / folder).glob("*/__init__.py")
        }
    return found


def test_every_package_is_in_the_wheel(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(listed) == packages(repository)


def test_every_provider_and_check_package_is_an_entry_point(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    modules = set(project["project"]["entry-points"]["spotdeploy"].values())
    plugins = {path.rpartition("/")[2] for path in packages(repository)} - {"spotdeploy"}
    assert plugins - {"spotdeploy_libcloud"} <= modules


def test_every_package_is_typed(repository: Path) -> None:
    missing = [p for p in packages(repository) if not (repository / p / "py.typed").exists()]
    assert not missing


@pytest.mark.parametrize("folder", ["providers", "plugins", "instance"])
def test_the_plugin_folders_are_no_packages(repository: Path, folder: str) -> None:
    assert not (repository / folder / "__init__.py").exists()


def test_the_reference_config_loads_and_names_every_key(repository: Path) -> None:
    path = repository / "spotdeploy.toml"
    load(path)
    text = path.read_text()
    named = set(re.findall(r"\w+", text))
    missing = [key for key in keys(Config) if key not in named]
    assert not missing


def keys(struct: type[msgspec.Struct]) -> list[str]:
    found = []
    for field in msgspec.structs.fields(struct):
        found.append(field.encode_name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += keys(field.type)
    return found
