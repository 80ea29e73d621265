"""The generated pages say what the code says now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.generate.cli import real_help, words
from docs.generate.pages import pages
from spotdeploy.cli import GROUPS
from spotdeploy.config.json_schema import attribute_docs, build_schema
from spotdeploy.plugins import Plugins


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_every_generated_page_is_as_the_code_makes_it(
    repository: Path, made: dict[str, str]
) -> None:
    stale = [
        name for name, text in made.items() if (repository / "docs" / name).read_text() != text
    ]
    assert not stale, "run `make reference`"


def test_no_page_is_left_of_something_that_is_not_generated_any_more(
    repository: Path, made: dict[str, str]
) -> None:
    there = {f"reference/{page.name}" for page in (repository / "docs/reference").iterdir()}
    assert there == {name for name in made if name.startswith("reference/")}


def test_the_help_of_every_command_and_subcommand_is_the_real_one(repository: Path) -> None:
    page = (repository / "docs/reference/cli.md").read_text()
    for command in (("cycle",), ("plugins", "new"), ("plugins", "test")):
        assert command in {tuple(line) for line in words()}
        assert f"```text\n{real_help(command)}\n```" in page


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_subcommands_that_a_help_lists_have_a_section_of_their_own(group: str) -> None:
    listed = real_help((group,)).partition("Commands:\n")[2]
    below = {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
    assert below == {line[1] for line in words() if len(line) == 2 and line[0] == group}


def test_every_key_of_the_config_has_a_meaning() -> None:
    assert [path for path, key in keys(build_schema(Plugins())) if not key.get("description")] == []


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of spotdeploy.toml with its path, the tables of providers and checks too."""
    tables = {name: one for name, one in schema["$defs"].items() if "properties" in one}
    faults = schema["$defs"]["FakeConfig"]["properties"]["faults"]["items"]["anyOf"]
    told_elsewhere = {one["$ref"].rpartition("/")[2] for one in faults}
    for name, table in {"": schema, **tables}.items():
        if name not in told_elsewhere:
            for key, value in table["properties"].items():
                if "$ref" not in value and "const" not in value:
                    yield f"{name}.{key}", value


class _Below(msgspec.Struct):
    size: int = 0
    """In
    bytes."""
    plain: int = 0


class _Above(_Below):
    size: int = 1
    """In MiB."""


def test_the_text_under_an_attribute_is_read_in_one_line() -> None:
    assert attribute_docs(_Below) == {"size": "In bytes."}


def test_what_a_class_says_of_an_attribute_wins_over_its_bases() -> None:
    assert attribute_docs(_Above) == {"size": "In MiB."}


def test_a_class_without_source_has_no_attribute_docs() -> None:
    assert attribute_docs(msgspec.defstruct("Made", [("key", int)])) == {}


def test_every_name_that_a_plugin_imports_is_in_the_reference(
    repository: Path, made: dict[str, str]
) -> None:
    page = made["reference/python.md"]
    templates = (repository / "spotdeploy/scaffold/templates").rglob("*.py.j2")
    packages = [repository / "providers", repository / "plugins", repository / "docs/examples"]
    sources = [*templates, *(file for package in packages for file in package.rglob("*.py"))]
    imported = {
        f"{module}.{name}"
        for file in sources
        for module, names in re.findall(
            r"^ *from (spotdeploy(?:\.\w+)*) import (\([^)]*\)|.+)", file.read_text(), re.MULTILINE
        )
        for name in re.findall(r"(\w+)(?: as \w+)?[,\n ]*", names.strip("()"))
    }
    assert len(imported) > 60
    known = set(re.findall(r"`(spotdeploy[\w.]+)`", page))
    modules = {name.rpartition(".")[0] for name in known}
    assert sorted(imported - known - modules) == []
