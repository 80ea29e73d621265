"""The commands of a config with a matrix, as processes."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path

import pytest

from spotdeploy import labels
from spotdeploy.config.load import load
from spotdeploy.model import Batch, Market, Offer
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.cycles.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Four cells on the fake cloud, of which nobody answers ssh."""
    made = Project(tmp_path, "shop")
    made.config |= {
        "providers": ["fake"],
        "timeouts": {"boot": "300ms"},
        "matrix": {"size": ["small", "large"], "py": [3, 4]},
        "checks": [{"type": "tcp", "port": 80}],
    }
    made.write()
    return made


def cloud(project: Project) -> FakeCloud:
    return FakeCloud(FileStore(project.folder / ".spotdeploy" / "fake-cloud.json"))


def test_plan_shows_each_cell_and_its_first_candidate(project: Project) -> None:
    data = project.run("plan", "--json", "--only", "py=3").json()
    assert [(one["name"], one["values"], one["wanted"]) for one in data["cells"]] == [
        ("shop-3-small", {"size": "small", "py": 3}, 1),
        ("shop-3-large", {"size": "large", "py": 3}, 1),
    ]
    assert {o["size"] for o in data["cells"][1]["offers"]["fake"]} == {"large"}
    text = project.run("plan").out
    assert text.startswith("shop: 4 cells, 4 at the same time\n")
    assert "shop-4-large  size=large py=4  1      fake a large spot" in text
    assert not (project.folder / ".spotdeploy" / "runs").exists()


def test_plan_refuses_what_a_provider_cannot_have(project: Project) -> None:
    project.config["providers"] = ["fake", "local"]
    project.write()
    done = project.run("plan")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: spotdeploy.toml: matrix.size: provider.local has no size\n")


def test_the_json_of_a_cycle_is_its_report_json(project: Project) -> None:
    done = project.run("cycle", "--json", "--only", "py=4")
    assert done.code == 3, done
    (written,) = project.folder.glob(".spotdeploy/runs/*/report.json")
    assert done.json() == json.loads(written.read_bytes())
    assert [cell["report"]["exit_code"] for cell in done.json()["cells"]] == [3, 3]


def test_events_of_all_cells_go_to_one_file(project: Project) -> None:
    project.run("cycle", "--events", "all.jsonl")
    events = [json.loads(line) for line in (project.folder / "all.jsonl").read_text().splitlines()]
    assert {one.get("cell") for one in events if one["event"] == "node-ended"} == {
        *("shop-3-small", "shop-4-small", "shop-3-large", "shop-4-large")
    }
    assert [one["event"] for one in events if "cell" not in one] == [
        *("run-started", "before-started", "before-ended", "run-ended")
    ]


def test_ctrl_c_stops_every_cell_and_leaves_nothing(project: Project) -> None:
    project.config["timeouts"]["boot"] = "5m"
    with project.started("cycle") as cycle:
        for _ in range(4):
            cycle.until("1 of 1 node")
        cycle.send(signal.SIGINT)
        done = cycle.end()
    assert done.code == 130, done
    assert "STOPPED BY THE USER: 0 of 4 cells passed" in done.out
    assert cloud(project).billed() == []


def test_a_killed_cycle_is_ended_by_the_next_destroy(project: Project) -> None:
    project.config["timeouts"]["boot"] = "5m"
    with project.started("cycle") as cycle:
        for _ in range(4):
            cycle.until("1 of 1 node")
        cycle.send(signal.SIGKILL)
        cycle.end()
    assert "UNFINISHED: 0 of 4 cells passed" in project.run("report").out
    project.config["matrix"]["py"] = [5]
    project.write()
    done = project.run("destroy")
    assert done.code == 0, done
    assert cloud(project).billed() == []


def test_past_runs_are_shown_and_compared_by_cell(project: Project) -> None:
    project.run("cycle", "--only", "py=3")
    project.run("cycle", "--only", "size=small")
    first, last = sorted(path.name for path in project.folder.glob(".spotdeploy/runs/*"))
    shown = project.run("report", "--html", "page.html", "--junit", "suites.xml")
    assert "shop-3-small  size=small py=3  infrastructure failed  0/1" in shown.out
    page = (project.folder / "page.html").read_text()
    assert f'href=".spotdeploy/runs/{last}/' in page
    assert 'name="shop-4-small"' in (project.folder / "suites.xml").read_text()
    text = project.run("diff", first).out
    assert text.startswith(f"{first} -> {last}, the same payload\n")
    assert f"shop-4-small: only in {last}" in text
    assert f"shop-3-large: only in {first}" in text
    assert set(project.run("diff", first, "--json").json()["cells"]) == {"shop-3-small"}
    assert "cycle (2 cells)" in project.run("history").out
    del project.config["matrix"]
    project.write()
    project.run("destroy")
    project.run("cycle")
    assert project.run("diff", first).err.startswith("error: run ")


def test_reap_ends_what_has_expired_of_the_cells_that_are_selected(project: Project) -> None:
    for name in ("shop-3-small", "shop-4-small", "other"):
        marks = labels.for_batch(name, "20260101-120000-abc123", name, "d" * 40, 1.0)
        batch = Batch(name, 1, marks, b"", "spotdeploy", time_to_live=9e8)
        cloud(project).create(Offer("fake", "here", "a", "small", Market.SPOT), batch)
    found = project.run("reap", "--only", "py=3", "--yes", "--json").json()
    assert {one["thing"]["labels"][labels.DEPLOYMENT] for one in found["overdue"]} == {
        "shop-3-small"
    }
    left = project.run("reap", "--json").json()["overdue"]
    assert {one["thing"]["labels"][labels.DEPLOYMENT] for one in left} == {"shop-4-small", "other"}


def test_doctor_asks_the_same_question_once(project: Project) -> None:
    lines = project.run("doctor").out.splitlines()
    assert lines[0] == "spotdeploy.toml: ok"
    assert len(lines) == 3, lines


def test_the_effective_config_is_a_config_with_the_same_matrix(project: Project) -> None:
    project.config["matrix"] |= {"include": [{"py": 5, "size": "small"}], "max_parallel": 2}
    project.write()
    text = project.run("config").out
    assert tomllib.loads(text)["matrix"] == project.config["matrix"]
    (project.folder / "again.toml").write_text(text)
    assert load(project.folder / "again.toml").config.matrix == project.config["matrix"]


def test_repeat_counts_every_cell(project: Project) -> None:
    data = project.run("cycle", "--repeat", "2", "--only", "py=3", "--json").json()
    assert (data["cycles"]["good"], data["cycles"]["asked"]) == (0, 4)
    refused = project.run("cycle", "--repeat", "2", "--failed")
    assert refused.code == 2
    assert refused.err.startswith("error: --failed is one cycle, and --repeat and --watch are ")
