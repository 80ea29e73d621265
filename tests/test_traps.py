"""Each trap is a test, by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TRAPS = range(1, 24)
ROW = re.compile(r"\| (\d+) \| ([^|]{10,}) \| ([^|]{10,}) \| ([^|]+) \|")
NAMED = re.compile(r"`([\w/.]+\.py)::(test_\w+)`")


def rows(page: str) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Each trap's number and the files and names of its tests."""
    for line in page.splitlines():
        if not line.startswith("| ") or line.startswith("| # "):
            continue
        row = ROW.fullmatch(line)
        assert row, f"this row is not of the form: {line}"
        named = NAMED.findall(row[4])
        rest = NAMED.sub("", row[4]).strip()
        assert not rest, f"trap {row[1]}: neither a test nor a space: {rest}"
        yield int(row[1]), named


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the test functions of a file, of classes too."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_trap_has_tests_and_every_test_named_exists(repository: Path) -> None:
    found = dict(rows((repository / "docs/traps.md").read_text("utf-8")))
    assert list(found) == list(TRAPS), "each trap once, in order"
    for number, named in found.items():
        assert named, f"trap {number} has no test"
        for file, name in named:
            path = repository / file
            assert path.is_file(), f"trap {number}: {file} is not there"
            assert name in names_in(path), f"trap {number}: {file} has no {name}"


@pytest.mark.parametrize(
    "row",
    [
        "| 1 | a trap of some kind | what must happen then |",
        "| 1 | a trap of some kind | what must happen then | see the tests |",
        "| 1 |  |  | `tests/test_traps.py::test_a_row_of_another_form_is_found` |",
        "| one | a trap of some kind | what must happen then | `tests/test_x.py::test_x` |",
    ],
)
def test_a_row_of_another_form_is_found(row: str) -> None:
    with pytest.raises(AssertionError):
        list(rows(row))
