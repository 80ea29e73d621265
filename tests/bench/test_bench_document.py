"""The page of the benchmarks, from sample rows, and the words that go with it."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes the page; benchmarks import one another from their own folder."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("document")


@pytest.fixture
def run(document: ModuleType) -> ModuleType:
    """The module that runs the parts."""
    return importlib.import_module("run")


def result(document: ModuleType, *rows: Any, error: str = "") -> Any:
    return document.Result("Start", rows, 3, 90.0, "2026-11-25 12:00 UTC", error)


def page(document: ModuleType, results: dict[str, Any], notes: dict[str, Any]) -> str:
    return str(document.write(results, notes, {"molecule": "26.10.0"}))


def test_a_row_shows_its_median_spread_goal_and_verdict(document: ModuleType) -> None:
    row = document.Row("list", 4.256, "times", "at least 5", True, "4.10-4.40")
    text = page(document, {"start": result(document, row)}, {})
    assert "| list | 4.26 times | 4.10-4.40 | at least 5 | met |" in text
    assert "| Start | list | 4.26 times | at least 5 | met |" in text
    assert "1 of 1 are met" in text
    assert "3 rounds in 1.5 minutes, ended 2026-11-25 12:00 UTC." in text
    assert "| molecule | 26.10.0 |" in text


def test_a_missed_goal_has_its_reason_and_a_met_one_has_none(document: ModuleType) -> None:
    missed = document.Row("tar | ssh", 2.0, "times", "at most 1.2", False)
    met = document.Row("again", 0.0, "files", "0", True)
    notes = {"start": {"about": "Words.", "missed": {"ssh": "Because.", "again": "Never shown."}}}
    text = page(document, {"start": result(document, missed, met)}, notes)
    assert "**Missed: tar | ssh.** Because." in text
    assert "Words." in text
    assert "Never shown." not in text
    assert "| tar \\| ssh | 2 times |  | at most 1.2 | **missed** |" in text


def test_a_missed_goal_without_a_reason_says_so(document: ModuleType) -> None:
    row = document.Row("list", 2.0, "times", "at least 5", False)
    assert document.UNWRITTEN in page(document, {"start": result(document, row)}, {})


def test_a_part_that_failed_shows_why_and_takes_nothing_from_the_others(
    document: ModuleType,
) -> None:
    row = document.Row("list", 4.0, "ms", "", None)
    results = {"start": result(document, error="it broke"), "aws": result(document, row)}
    text = page(document, results, {})
    assert "it broke" in text
    assert "| list | 4 ms |" in text


def test_results_come_back_from_their_files_as_they_were(
    document: ModuleType, run: ModuleType, tmp_path: Path
) -> None:
    row = document.Row("list", 4.0, "ms", "", None, "3.00-5.00")
    kept = result(document, row)
    run.save(tmp_path / "aws.json", kept)
    assert run.collected(tmp_path) == {"aws": kept}
    assert json.loads((tmp_path / "aws.json").read_text())["rounds"] == 3


def test_every_part_has_a_module_words_and_versions_of_its_peers(run: ModuleType) -> None:
    notes = tomllib.loads((BENCH / "notes.toml").read_text())
    assert set(run.PARTS) == set(notes) - {"limits"}
    for name, part in run.PARTS.items():
        assert (BENCH / f"{part.module}.py").is_file()
        assert notes[name]["about"]
        for peer in part.peers:
            assert "==" in (BENCH / "peers" / f"{peer}.txt").read_text()
