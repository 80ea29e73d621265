"""`docs/contract.md` names every promise, for every provider of ours."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import junitparser
import pytest

from spotdeploy.plugins import Plugins
from spotdeploy.testing import ProviderContract
from tests.contract_table import (
    CONTRACTS,
    ENGINE_TABLE,
    ENGINES,
    KEPT,
    TABLE,
    BrokenPromiseError,
    read,
    render,
    sections,
)

PROMISES = [name for name in dir(ProviderContract) if name.startswith("test_")]


def rows() -> list[list[str]]:
    """The cells of every row of the page that is about a promise."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [line.strip("| ").split(" | ") for line in lines]
    return [row for row in cells if row[0] not in ("---", "promise", "promises kept", "local")]


def test_the_engines_table_names_every_promise_and_engine() -> None:
    text = ENGINE_TABLE.read_text("utf-8")
    assert f"| promise | {' | '.join(ENGINES)} |" in text
    missing = [name for name in PROMISES if f"| {name[5:].replace('_', ' ')} |" not in text]
    assert missing == [], "run `make contract`"


def results(folder: Path, *results: junitparser.junitparser.FinalResult) -> Path:
    """A JUnit file in which one promise of AWS ended so."""
    case = junitparser.TestCase("test_destroyed_nodes_go", "tests.test_contracts.TestAws")
    case.result = list(results)
    suite = junitparser.TestSuite("pytest")
    suite.add_testcase(case)
    file = junitparser.JUnitXml()
    file.add_testsuite(suite)
    file.write(str(folder / "results.xml"))
    return folder / "results.xml"


def test_the_table_names_every_promise_once() -> None:
    named = [f"test_{row[0].replace(' ', '_')}" for row in rows()]
    assert sorted(named) == sorted(PROMISES), "run `make contract`"


def test_the_table_has_an_answer_of_every_provider_of_ours() -> None:
    ours = [point for point in Plugins().known() if point.dist and point.dist.name == "spotdeploy"]
    named = {point.name for point in ours if hasattr(point.load(), "spotdeploy_register_provider")}
    assert set(CONTRACTS) == named - {"fake"}
    assert f"| promise | {' | '.join(CONTRACTS)} |" in TABLE.read_text("utf-8")
    assert {len(row) for row in rows()} == {1 + len(CONTRACTS)}


def test_every_promise_that_is_not_kept_has_a_reason() -> None:
    cells = set(chain.from_iterable(row[1:] for row in rows())) - {KEPT}
    notes = re.findall(r"^(\d+)\. \S", TABLE.read_text("utf-8"), re.MULTILINE)
    assert cells == {f"({number})" for number in notes}


def test_sections_are_all_promises() -> None:
    found = [name for section in sections() for name in section.promises]
    assert sorted(found) == sorted(PROMISES)


def test_a_skipped_promise_has_its_reason_in_the_table(tmp_path: Path) -> None:
    why = "this lab does not have Powers.protect"
    found = read(results(tmp_path, junitparser.Skipped(why)), CONTRACTS)
    assert found["aws"] == {"test_destroyed_nodes_go": why}
    page = render({"aws": {**dict.fromkeys(PROMISES, ""), **found["aws"]}})
    assert "| destroyed nodes go | (1) |" in page
    assert f"| promises kept | {len(PROMISES) - 1} of {len(PROMISES)} |" in page
    assert page.endswith(f"1. {why}\n")


@pytest.mark.parametrize("result", [junitparser.Failure("no"), junitparser.Error("no")])
def test_a_broken_promise_makes_no_table(
    tmp_path: Path, result: junitparser.junitparser.FinalResult
) -> None:
    with pytest.raises(BrokenPromiseError, match="test_destroyed_nodes_go"):
        read(results(tmp_path, result), CONTRACTS)
