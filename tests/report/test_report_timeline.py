"""Where things stand in the picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spotdeploy.events import RunStarted
from spotdeploy.report.html.page import render
from spotdeploy.report.html.timeline import (
    ALONE,
    LABEL,
    LEFT,
    RIGHT,
    WIDTH,
    Picture,
    picture,
    shorten,
    thin_picture,
)
from spotdeploy.report.model import build
from spotdeploy.report.run_store import read_report
from tests.report import samples

MANY = ("aws", "gcp", "azure")


def well_drawn(drawn: Picture) -> None:
    """Everything is inside, nothing covers another node."""
    for above, below in zip(drawn.rows, drawn.rows[1:], strict=False):
        assert below.y >= above.y + above.height - 0.01
    for row in drawn.rows:
        assert row.y + row.height <= drawn.height
        for bar in row.bars:
            assert bar.x >= LEFT - 0.01
            assert bar.x + bar.width <= WIDTH - RIGHT + 1.3
    assert 2 <= len(drawn.ticks) <= 10


def test_few_nodes_have_a_lane_each(tmp_path: Path) -> None:
    drawn = picture(read_report(samples.passing(3).write(tmp_path)))
    assert [row.label for row in drawn.rows] == [
        "the run",
        "demo-aws-1",
        "demo-aws-2",
        "demo-aws-3",
    ]
    well_drawn(drawn)


def test_many_nodes_share_lanes_and_those_that_failed_come_first(tmp_path: Path) -> None:
    report = read_report(samples.payload_failure(100, MANY).write(tmp_path))
    drawn = picture(report)
    well_drawn(drawn)
    labels = [row.label for row in drawn.rows]
    assert len(labels) <= ALONE
    assert labels[-3:] == ["95 nodes, aws", "95 nodes, azure", "95 nodes, gcp"]
    assert {"4 nodes, aws", "demo-aws-3"} <= set(labels[:8])
    tones = [row.tone for row in drawn.rows[1:]]
    assert tones == sorted(tones, key=["bad", "infra", "good"].index)


def test_every_node_can_be_seen_when_many_share_lanes(tmp_path: Path) -> None:
    report = read_report(samples.interruption(100, MANY).write(tmp_path))
    drawn = thin_picture(report)
    assert drawn is not None
    assert len(drawn.rows) == len(report.nodes) == 301
    well_drawn(drawn)
    assert thin_picture(read_report(samples.passing(3).write(tmp_path))) is None


def test_an_interruption_stands_where_the_node_was_taken(tmp_path: Path) -> None:
    report = read_report(samples.interruption(3).write(tmp_path))
    (row,) = [row for row in picture(report).rows if row.label == "demo-aws-2"]
    (mark, bolt) = row.dots
    assert (mark.kind, bolt.kind) == ("note", "interrupted")
    last = row.bars[-1]
    assert (last.kind, last.ok) == ("deploy", False)
    assert bolt.x == pytest.approx(last.x + last.width, abs=0.1)
    assert samples.TAKEN_BACK in bolt.title


def test_a_run_of_no_length_is_drawn() -> None:
    drawn = picture(
        build(
            [
                RunStarted(
                    at=5.0,
                    run="r",
                    command="cycle",
                    deployment="d",
                    providers=(),
                    digest="",
                    desired=0,
                )
            ]
        )
    )
    assert drawn.height > 0
    assert drawn.ticks


def test_every_lane_has_a_style(tmp_path: Path) -> None:
    folder = samples.cluster(30, bad=(1,)).write(tmp_path)
    page = render(read_report(folder), folder)
    style, body = page.split("</style>", 1)
    lanes = set(re.findall(r'<g class="(\w+)', body))
    assert {"grid", "lane", "dot"} == lanes
    assert all(re.search(rf"^\.{name} ", style, re.MULTILINE) for name in lanes)
    assert re.search(r"\.lane \.who {[^}]*fill:", style)


def test_long_names_lose_their_middle_and_keep_the_end_that_tells_them_apart() -> None:
    name = "a-very-long-deployment-name-on-a-cloud-0017"
    assert len(shorten(name)) <= LABEL
    assert shorten(name).endswith("cloud-0017")
    assert shorten("short") == "short"
