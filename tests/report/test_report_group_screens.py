"""Groups on the screens: lines that say whose they are, and sections in the live table."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

import pytest
from rich.console import Console

from spotdeploy.cli.live import LiveScreen
from spotdeploy.cli.screen import PlainScreen, summary
from spotdeploy.events import Event, RunEnded
from spotdeploy.model import Node, NodeState, Phase, Verdict
from spotdeploy.run.verdict import CheckOutcome, NodeOutcome, Outcome, Refusal
from tests.report import samples


def told(events: Iterable[Event]) -> list[str]:
    stream = io.StringIO()
    screen = PlainScreen(stream)
    for event in events:
        screen.on(event)
    return stream.getvalue().splitlines()


def in_order(sample: samples.Sample) -> list[Event]:
    return sorted(sample.events, key=lambda event: event.at)


def test_every_line_of_a_node_says_its_group() -> None:
    lines = told(in_order(samples.cluster(2, bad=(1,))))
    assert "Creating head: 1 nodes..." in lines
    assert "  worker: local local container spot: 2 of 2" in lines
    assert "  worker: 2 of 2 nodes" in lines
    assert "  head demo-4f1c: check payload ok" in lines
    assert any(line.startswith("  worker demo-1b58: boot done") for line in lines)
    assert "  worker demo-1b59 is gone" in lines
    assert "  group head: passed: all 1 nodes are healthy" in lines
    assert f"  group watcher: {samples.NOT_DEPLOYED}" in lines


def test_lines_of_a_config_without_groups_say_none() -> None:
    lines = told(in_order(samples.passing(2)))
    assert "Creating 2 nodes..." in lines
    assert "  demo-aws-1: check payload ok" in lines
    assert not [line for line in lines if "group" in line or line.startswith("  nodes")]


def _outcome(name: str, group: str | None) -> NodeOutcome:
    labels = {"spotdeploy-group": group} if group else {}
    node = Node(name, name, "local", "local", NodeState.RUNNING, labels=labels)
    return NodeOutcome(node, Verdict.PASSED, Phase.VERIFY)


@pytest.mark.parametrize(
    ("groups", "head"), [(("head", "worker"), "GROUP   NODE"), ((None, None), "NODE  VERDICT")]
)
def test_the_summary_has_a_column_for_groups_where_there_are_any(
    groups: tuple[str | None, ...], head: str
) -> None:
    nodes = tuple(_outcome(f"n-{number}", group) for number, group in enumerate(groups))
    refusals = (Refusal("local here small", 2, 1, "full", groups[1] or "nodes"),)
    text = summary(Outcome("r", "d", Verdict.PASSED, nodes=nodes, refusals=refusals))
    assert text.splitlines()[1].startswith(head)
    assert ("short: worker: local here small gave 1 of 2: full" in text) == bool(groups[1])


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(
    monkeypatch: pytest.MonkeyPatch, events: Iterable[Event], *, lines: int = 40, width: int = 120
) -> list[str]:
    """The table once all events have come."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(lines))
    screen = LiveScreen(_Terminal())
    with screen:
        for event in events:
            screen.on(event)
        table = screen.table()
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def until(sample: samples.Sample, seconds: float) -> list[Event]:
    return [event for event in in_order(sample) if event.at < samples.BEGAN + seconds]


def test_a_group_that_waits_says_for_which(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(monkeypatch, until(samples.cluster(2), 13))
    assert re.split(r"  +", lines[1])[:2] == ["head", "1 of 1"]
    assert lines[2].startswith("  demo-4f1c")
    assert re.split(r"  +", lines[3]) == ["worker", "waits for head"]
    assert re.split(r"  +", lines[4]) == ["watcher", "waits for worker"]


def test_what_was_not_deployed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        one for one in in_order(samples.cluster(2, bad=(1,))) if not isinstance(one, RunEnded)
    ]
    lines = drawn(monkeypatch, events)
    (watcher,) = [line for line in lines if line.startswith("watcher")]
    assert re.split(r"  +", watcher) == ["watcher", "not deployed", samples.NOT_DEPLOYED]


def test_large_groups_are_folded_and_those_that_failed_stay_in_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = samples.cluster(60, bad=(3, 17))
    here = [one for one in in_order(sample) if type(one).__name__ != "NodeDestroyed"]
    lines = drawn(monkeypatch, here, lines=24)
    assert len(lines) <= 24
    (worker,) = [line for line in lines if line.startswith("worker")]
    assert worker.endswith("58 passed, 2 payload failed")
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [
        "demo-1b5b",
        "demo-1b69",
    ]


def test_long_words_of_a_failure_take_no_room_from_the_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = samples.cluster(2, bad=(1,))
    events = [one for one in in_order(sample) if type(one).__name__ != "NodeDestroyed"]
    lines = drawn(monkeypatch, events, width=70)
    assert any(line.startswith("  demo-1b59  local local  payload failed") for line in lines)
    assert all(len(line) <= 70 for line in lines)


def test_the_table_of_a_config_without_groups_has_no_sections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = drawn(monkeypatch, until(samples.passing(2), 20))
    assert [line.split()[0] for line in lines] == ["node", "demo-aws-1", "demo-aws-2"]


def _failed(name: str, detail: str) -> NodeOutcome:
    node = Node(name, name, "local", "local", NodeState.RUNNING)
    checks = (CheckOutcome("http :80", False, detail), CheckOutcome("log", True))
    return NodeOutcome(node, Verdict.PAYLOAD_FAILED, Phase.VERIFY, f"http :80: {detail}", checks)


def test_the_summary_tells_one_failure_of_many_nodes_once() -> None:
    nodes = tuple(_failed(f"n-{number}", "refused\nby itself") for number in range(12))
    nodes += (_failed("odd", "404"), _outcome("good", None))
    lines = summary(Outcome("r", "d", Verdict.PAYLOAD_FAILED, nodes=nodes)).splitlines()
    told = [line for line in lines if "http" in line or "by itself" in line]
    assert told == ["  12 nodes: http :80: refused", "      by itself", "  odd: http :80: 404"]
