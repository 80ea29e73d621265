"""Each exit code, made to happen on real machines."""

from __future__ import annotations

import json
import signal

import pytest

from spotdeploy_local.engines.default import default_engine
from tests.cycles.project import Project, eventually

pytestmark = pytest.mark.machines


def test_a_healthy_payload_passes_and_its_nodes_stay(project: Project) -> None:
    project.config["checks"] = [
        {"type": "command", "command": "test -e /opt/deployment.log", "within": "5s"}
    ]
    done = project.cycle()
    assert done.code == 0, done
    assert "PASSED: 1 node is healthy" in done.out
    assert len(project.nodes()) == 1


def test_each_cycle_replaces_every_node_by_a_fresh_one(project: Project) -> None:
    first = project.cycle()
    before = {node["id"] for node in project.nodes()}
    second = project.cycle()
    after = {node["id"] for node in project.nodes()}
    assert (first.code, second.code) == (0, 0), (first, second)
    assert len(after) == 1
    assert not before & after


def test_a_failing_entry_is_the_payloads_failure_and_its_last_lines_are_shown(
    project: Project,
) -> None:
    project.entry("echo the disk of dreams is full; exit 7")
    done = project.cycle()
    assert done.code == 1, done
    assert "the entry exited with 7: the disk of dreams is full" in done.out
    assert project.nodes() == []


def test_the_evidence_of_a_failure_is_kept_before_the_node_is_destroyed(project: Project) -> None:
    project.entry("echo remember me; exit 1")
    assert project.cycle().code == 1
    (log,) = project.folder.glob(".spotdeploy/runs/*/evidence/*/deployment.log")
    assert log.read_text().strip() == "remember me"
    index = json.loads((log.parent / "index.json").read_text())
    assert "deployment.log" in {item["file"] for item in index}


def test_a_check_that_never_becomes_true_is_the_payloads_failure(project: Project) -> None:
    project.config["checks"] = [
        {"type": "tcp", "port": 4321, "within": "1s", "every": "200ms", "name": "the port"}
    ]
    done = project.cycle()
    assert done.code == 1, done
    assert "the port" in done.out


def test_an_entry_that_hangs_is_ended_and_is_the_payloads_failure(project: Project) -> None:
    project.config["timeouts"] = {"deploy": "2s"}
    project.entry("sleep 1000 & sleep 1000")
    done = project.cycle()
    assert done.code == 1, done
    assert "the entry did not end within 2s" in done.out


def test_a_mistake_in_the_config_exits_2_and_creates_nothing(project: Project) -> None:
    project.config["nodes"]["cuont"] = 3
    done = project.cycle()
    assert done.code == 2, done
    assert done.err.splitlines()[0] == "error: spotdeploy.toml: nodes.cuont: unknown key"
    del project.config["nodes"]["cuont"]
    project.write()
    assert project.nodes() == []


def test_an_interruption_is_told_from_a_payload_failure(project: Project) -> None:
    project.entry("echo started; sleep 1000")
    with project.started("cycle") as running:
        running.until("ship done")
        (node,) = project.nodes()
        default_engine().preempt(node["id"])
        done = running.end()
    assert done.code == 3, done
    assert "interrupted during deploy" in done.out


def test_an_interrupted_node_is_replaced_when_the_config_says_so(project: Project) -> None:
    project.config["nodes"]["on_interruption"] = "replace"
    project.entry("sleep 3")
    with project.started("cycle") as running:
        running.until("ship done")
        (node,) = project.nodes()
        default_engine().preempt(node["id"])
        done = running.end()
    assert done.code == 0, done
    assert f"replacing {node['name']}" in done.out
    (fresh,) = project.nodes()
    assert fresh["id"] != node["id"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_cleanly_and_destroys_by_policy(
    project: Project, number: signal.Signals
) -> None:
    project.entry("sleep 1000")
    with project.started("cycle") as running:
        running.until("ship done")
        running.send(number)
        done = running.end()
    assert done.code == 130, done
    assert "STOPPED BY THE USER" in done.out
    assert project.nodes() == []


def test_a_second_signal_stops_at_once_and_says_how_to_go_on(project: Project) -> None:
    project.entry("sleep 1000")
    project.config["keep"] = "always"
    with project.started("cycle") as running:
        running.until("ship done")
        running.send(signal.SIGINT)
        running.send(signal.SIGINT)
        done = running.end()
    assert done.code == 130, done
    assert "spotdeploy destroy" in done.err or "STOPPED" in done.out
    assert project.run("destroy").code == 0
    assert project.nodes() == []


def test_a_killed_cycle_is_cleaned_up_by_the_next_destroy(project: Project) -> None:
    project.entry("sleep 1000")
    with project.started("cycle") as running:
        running.until("of 1")
        running.send(signal.SIGKILL)
        assert running.end().code == -9
    eventually(lambda: len(project.nodes()) == 1, "the machine is listed")
    done = project.run("destroy")
    assert done.code == 0, done
    assert project.nodes() == []


def test_a_second_cycle_at_once_is_refused_and_names_the_holder(project: Project) -> None:
    project.entry("sleep 1000")
    with project.started("cycle") as running:
        running.until("ship done")
        second = project.run("cycle")
        running.send(signal.SIGINT)
        running.end()
    assert second.code == 2, second
    assert f"'spotdeploy cycle' (pid {running.pid} on " in second.err


def test_create_refuses_while_nodes_exist(project: Project) -> None:
    assert project.cycle().code == 0
    done = project.run("create")
    assert done.code == 2, done
    assert "1 node of" in done.err
    assert "spotdeploy destroy" in done.err


def test_output_that_is_no_text_and_has_no_end_breaks_nothing(project: Project) -> None:
    project.entry("head -c 3000000 /dev/urandom; printf '\\033[2J\\377\\376'; exit 1")
    done = project.cycle()
    assert done.code == 1, done
    assert "\x1b" not in done.out
    assert "Traceback" not in done.err
    assert len(done.out) < 20_000


def test_every_command_prints_a_run_in_the_one_form(project: Project) -> None:
    project.write()
    for command in ("create", "verify", "destroy"):
        done = project.run(command, "--json")
        assert done.code == 0, done
        assert (done.json()["command"], done.json()["verdict"]) == (command, "passed")
        assert done.out == project.run("report", "--json").out


def test_json_prints_data_only(project: Project) -> None:
    done = project.cycle("--json", "--keep", "never")
    assert done.code == 0, done
    (written,) = project.folder.glob(".spotdeploy/runs/*/report.json")
    assert done.out == written.read_text()
    assert done.json()["verdict"] == "passed"
    assert project.nodes() == []
