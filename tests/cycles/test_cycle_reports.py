"""Evidence and reports of cycles on real machines."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cycles.project import Project, eventually

pytestmark = pytest.mark.machines


def last_run(project: Project) -> Path:
    newest: Path = max(project.folder.glob(".spotdeploy/runs/*"))
    return newest


def report(project: Project) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((last_run(project) / "report.json").read_text())
    return data


def test_a_passing_cycle_brings_back_evidence_when_asked_and_no_secret_is_in_it(
    project: Project,
) -> None:
    project.config["payload"]["environment"] = {"API_TOKEN": "hunter-2000", "PLAIN": "plainly"}
    project.config["evidence"] = {"files": ["/etc/hostname"]}
    project.file("evidence.list", "/etc/os-release\n")
    project.file("units/demo.service", "[Service]\nExecStart=/bin/true\n")
    project.entry('echo "$API_TOKEN $PLAIN"; echo "$API_TOKEN" | base64')
    done = project.cycle("--evidence", "always", "--keep", "never")
    assert done.code == 0, done
    run = last_run(project)
    assert not [p for p in run.rglob("*") if p.is_file() and b"hunter-2000" in p.read_bytes()]
    (log,) = run.glob("evidence/*/deployment.log")
    assert log.read_text().splitlines() == ["[redacted] plainly", "[redacted]"]
    index = {item["file"]: item for item in json.loads((log.parent / "index.json").read_text())}
    assert {
        "file_etc_hostname.txt",
        "file_etc_os-release.txt",
        "journal-demo.service.txt",
    } <= set(index)
    page = (run / "report.html").read_text()
    assert log.parent.name in page
    assert report(project)["cost"]["usd"] == 0.0


def test_a_huge_log_is_bounded_and_a_node_that_ssh_never_reached_again_shows_its_console(
    project: Project,
) -> None:
    project.config["nodes"]["count"] = 2
    project.config["payload"] |= {"reboot": True, "environment": {"API_TOKEN": "hunter-2000"}}
    project.config["timeouts"] = {"reboot": "10s"}
    project.config["evidence"] = {"files": ["/opt/huge.log"]}
    project.config["checks"] = [{"type": "command", "command": "exit 7", "within": "0s"}]
    project.entry(
        'truncate --size 1G /opt/huge.log; echo "the end: $API_TOKEN" >> /opt/huge.log\n'
        'echo "on the console: $API_TOKEN" > /dev/console\n'
        'case "$(hostname)" in *-2) systemctl mask ssh.service ssh.socket;; esac'
    )
    done = project.cycle("--keep", "never")
    assert done.code == 1, done
    run = last_run(project)
    assert not [p for p in run.rglob("*") if p.is_file() and b"hunter-2000" in p.read_bytes()]
    indexes = {path.parent: json.loads(path.read_text()) for path in run.rglob("index.json")}
    (dark,) = (folder for folder, items in indexes.items() if len(items) == 1)
    assert "on the console: [redacted]" in (dark / "console.txt").read_text()
    (huge,) = run.rglob("file_opt_huge.log")
    assert huge.stat().st_size <= 1 << 20
    assert huge.read_text().endswith("the end: [redacted]")
    (item,) = (one for one in indexes[huge.parent] if one["file"] == huge.name)
    assert not item["complete"]


def test_a_stopped_cycle_has_its_reports_and_evidence(project: Project) -> None:
    project.config["payload"]["environment"] = {"API_TOKEN": "hunter-2000"}
    project.entry('echo "so far $API_TOKEN"; sleep 1000')
    with project.started("cycle") as running:
        running.until("ship done")
        (node,) = project.nodes()
        eventually(lambda: "so far [redacted]" in project.run("debug", node["name"]).out, "a word")
        running.send(signal.SIGINT)
        assert running.end().code == 130
    found = report(project)
    (log,) = last_run(project).glob("evidence/*/deployment.log")
    assert log.read_text().splitlines() == ["so far [redacted]"]
    assert (found["verdict"], found["exit_code"]) == ("stopped by the user", 130)
    assert found["nodes"][0]["seconds"].keys() >= {"boot", "ship"}
    assert (last_run(project) / "junit.xml").exists()


def test_a_killed_cycle_is_reported_from_its_events(project: Project) -> None:
    project.entry("sleep 1000")
    with project.started("cycle") as running:
        running.until("ship done")
        running.send(signal.SIGKILL)
        running.end()
    assert {path.name for path in last_run(project).iterdir()} == {"events.jsonl"}
    done = project.run("report")
    assert done.code == 0, done
    assert "UNFINISHED" in done.out
    assert (last_run(project) / "report.html").exists()


def test_events_are_streamed_and_nothing_else_is_on_standard_output(project: Project) -> None:
    done = project.cycle("--events", "-", "--keep", "never")
    assert done.code == 0, done
    events = [json.loads(line) for line in done.out.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("run-started", "run-ended")
    written = (last_run(project) / "events.jsonl").read_text()
    assert [json.loads(line) for line in written.splitlines()] == events


def test_repeated_cycles_are_compared_and_the_worst_code_counts(project: Project) -> None:
    flag = project.folder / "count"
    project.config["payload"]["upload"] = [str(flag)]
    flag.write_text("")
    project.config["checks"] = [
        {"type": "command", "command": "test -e /run/never", "within": "200ms", "name": "flaky"}
    ]
    done = project.cycle("--repeat", "2", "--json", "--keep", "never")
    assert done.code == 1, done
    together = done.json()
    assert len(together["runs"]) == 2
    rates = {rate["name"]: rate for rate in together["checks"]}
    assert (rates["flaky"]["good"], rates["flaky"]["asked"], rates["flaky"]["flake"]) == (0, 2, 0.0)
    assert together["boot"]["count"] == 2


def test_watching_runs_again_when_the_payload_changes_until_stopped(project: Project) -> None:
    with project.started("cycle", "--watch", "--keep", "never") as running:
        running.until("waiting for a change")
        project.entry("echo changed")
        running.until("waiting for a change")
        running.send(signal.SIGINT)
        done = running.end()
    assert done.code == 130, done
    assert done.out.count("PASSED: 1 node is healthy") == 2
