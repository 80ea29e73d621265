"""`--repeat`: what passed how often, how the rest failed and where, and how long phases took."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec

from spotdeploy.cli.repeat import WAYS, WHERE, show_repetition
from spotdeploy.report.model import RunReport, build
from spotdeploy.report.repetition import Repetition, summarize
from tests.report import samples

HEALTH = samples.CHECKS[1]


def runs(*made: samples.Sample) -> list[RunReport]:
    """Their reports, each with an id of its own."""
    return [
        msgspec.structs.replace(build(one.events), run=f"run-{number}")
        for number, one in enumerate(made, 1)
    ]


def shown(repetition: Repetition) -> str:
    stream = io.StringIO()
    show_repetition(repetition, stream, as_json=False)
    return stream.getvalue()


def test_a_check_that_fails_now_and_then_is_told_with_how_and_where() -> None:
    together = summarize(runs(samples.passing(30), samples.payload_failure(30)))
    rates = {rate.name: rate for rate in (*together.nodes, *together.checks, together.cycles)}
    assert (rates["nodes"].good, rates["nodes"].asked) == (58, 60)
    (refused,) = rates[HEALTH].failures
    assert refused.message == samples.REFUSED_HEALTH
    assert refused.count == len(refused.where) == 1
    assert refused.where[0].startswith("run-2 ")
    (cycle,) = rates["cycle"].failures
    assert (cycle.where, cycle.message.partition(":")[0]) == (("run-2",), "payload failed")
    text = shown(together)
    assert f"{HEALTH} failed:\n  1 times: {samples.REFUSED_HEALTH}\n      in run-2 " in text


def test_phases_have_their_shortest_middle_and_longest_time() -> None:
    together = summarize(runs(*(samples.passing(3) for _ in range(3))))
    times = {one.name: one for one in together.phases}
    assert list(times) == ["boot", "ship", "deploy", "reboot", "verify", "cycle"]
    boot = times["boot"]
    assert boot.count == 9
    assert 0 < boot.shortest <= boot.median <= boot.longest
    assert times["cycle"].count == 3
    assert "COUNT  MIN" in shown(together)


def test_a_phase_that_failed_has_no_say_in_its_times() -> None:
    (report,) = runs(samples.passing(1))
    (node,) = report.nodes
    spans = [
        msgspec.structs.replace(one, ok=False, end=one.end + 600) if one.name == "boot" else one
        for one in node.phases
    ]
    node = msgspec.structs.replace(node, phases=tuple(spans))
    together = summarize([msgspec.structs.replace(report, nodes=(node,))])
    assert "boot" not in [one.name for one in together.phases]


def test_groups_providers_and_cells_are_told_apart() -> None:
    grouped = summarize(runs(samples.cluster()))
    assert {one.name for one in grouped.nodes} >= {"head: nodes", "worker: nodes"}
    assert "worker: boot" in [one.name for one in grouped.phases]
    clouds = samples.passing(4, providers=("aws", "gcp"))
    assert {one.name for one in summarize(runs(clouds)).nodes} == {"nodes on aws", "nodes on gcp"}
    one, two = runs(samples.passing(1), samples.passing(1))
    two = msgspec.structs.replace(two, deployment="demo-2")
    names = [rate.name for rate in summarize([one, two]).checks]
    assert f"demo: {HEALTH}" in names
    assert f"demo-2: {HEALTH}" in names


def test_many_ways_and_places_are_bounded_on_the_screen_and_whole_in_json() -> None:
    (report,) = runs(samples.passing(1))
    failing = [
        msgspec.structs.replace(
            report, run=f"run-{number}", verdict="payload failed", message=f"way {number // 10}"
        )
        for number in range(80)
    ]
    together = summarize(failing)
    text = shown(together)
    assert text.count(" times: ") == WAYS
    assert "and in 3 other ways" in text
    assert f"run-{WHERE - 1} and {10 - WHERE} more" in text
    assert len(together.cycles.failures) == 8
    assert sum(len(one.where) for one in together.cycles.failures) == 80


def test_no_reports_make_an_empty_table() -> None:
    together = summarize([])
    assert (together.runs, together.cycles.asked) == ((), 0)
    assert "0/0" in shown(together)


def test_it_goes_through_json(tmp_path: Path) -> None:
    together = summarize(runs(samples.payload_failure(3)))
    path = tmp_path / "repeat.json"
    path.write_bytes(msgspec.json.encode(together))
    assert msgspec.json.decode(path.read_bytes(), type=Repetition) == together
    assert json.loads(path.read_text())["checks"][1]["failures"]
