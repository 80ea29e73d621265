"""`logs` and `run` on nodes that do not answer, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import run as spotdeploy

CLUSTER = """
deployment = "shop"
providers = ["fake"]
keep = "always"
[payload]
entry = "entry.sh"
[timeouts]
boot = "3s"
[groups.head]
[groups.worker]
count = 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three nodes that never answered."""
    folder = new(tmp_path_factory.mktemp("made"))
    with pytest.MonkeyPatch.context() as of_its_own:  # of each worker: locks are in it
        of_its_own.setenv("HOME", str(folder))
        of_its_own.setenv("XDG_STATE_HOME", str(folder / "state"))
        done = spotdeploy(folder, "create")
    assert done.returncode == 3, done
    return folder


def new(folder: Path) -> Path:
    (folder / "spotdeploy.toml").write_text(CLUSTER)
    (folder / "instance").mkdir()
    (folder / "instance" / "entry.sh").write_text("true\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["run"], "no command: nothing stands behind --", "spotdeploy run -- systemctl --failed"),
        (["run", "--"], "no command: nothing stands behind --", ""),
        (["run", "--", ""], "no command: nothing stands behind --", ""),
        (["run", "--", "true"], "shop has no nodes to ask", "spotdeploy create"),
        (["run", "worker", "--", "true"], "group worker of shop has no nodes to ask", ""),
        (["run", "-g", "worke", "--", "true"], "no group is named 'worke'", "mean worker?"),
        (["run", "-g", "zzz", "--", "true"], "no group is named 'zzz'", "are: head, worker"),
        (["run", "x", "--", "true"], "no node or group is named 'x', and there are no nodes", ""),
        (["run", "--timeout", "soon", "--", "true"], "--timeout: 'soon' is not a duration", ""),
        (["run", "--timeout", "0s", "--", "true"], "--timeout: 0s is not between 0s and 1h", ""),
        (["run", "--timeout", "2h", "--", "true"], "--timeout: 2h is not between 0s and 1h", ""),
        (["run", "--only", "a=b", "--", "true"], "--only a=b: spotdeploy.toml has no [matrix]", ""),
        (["logs"], "shop has no nodes", "spotdeploy create"),
        (["logs", "head"], "group head of shop has no nodes", ""),
        (["logs", "shop-1"], "no node or group is named 'shop-1', and there are no nodes", ""),
        (["logs", "-f", "shop-1"], "no node or group is named 'shop-1'", ""),
        (["logs", "--since", "5m"], "--since is about a unit's journal", "--unit"),
        (["logs", "--unit", "x", "--since", "5"], "--since: '5' is not a duration", ""),
        (["logs", "--unit", "../x"], "--unit: '../x' is not the name of a systemd unit", ""),
        (["logs", "--unit", "-x"], "--unit: '-x' is not the name of a systemd unit", ""),
        (["logs", "--unit", ""], "--unit: '' is not the name of a systemd unit", ""),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], error: str, hint: str) -> None:
    done = spotdeploy(new(tmp_path), *arguments)
    assert done.returncode == 2, done
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert hint in "\n".join(rest)
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["logs", "shop-9"], ["run", "shop-9", "--", "true"]])
def test_an_unknown_node_is_answered_with_the_nearest(made: Path, command: list[str]) -> None:
    (name, *_) = [one["name"] for one in json.loads(spotdeploy(made, "list", "--json").stdout)]
    done = spotdeploy(made, *[f"{name}x" if word == "shop-9" else word for word in command])
    assert done.returncode == 2, done
    assert f"no node or group is named '{name}x'" in done.stderr
    assert "try: did you mean " in done.stderr


def test_nodes_that_cannot_be_asked_are_no_failures_of_the_command(made: Path) -> None:
    done = spotdeploy(made, "run", "worker", "--", "true")
    assert done.returncode == 3, done
    assert done.stdout.count(" | cannot be asked: the host key of ") == 2
    assert done.stdout.endswith("exit code 0 on 0 of 2 nodes, 2 could not be asked\n")
    (answer,) = json.loads(spotdeploy(made, "run", "head", "--json", "--", "true").stdout)
    assert (answer["exit_code"], answer["touched"]) == (None, False)
    assert answer["problem"].startswith("the host key of ")


def test_until_they_answer_their_consoles_are_shown(made: Path) -> None:
    done = spotdeploy(made, "logs")
    assert done.returncode == 3, done
    assert done.stdout.count(": booted by the fake cloud\n") == 3
    assert done.stderr.count("; its console:\n") == 3
    done = spotdeploy(made, "logs", "head", "--json")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["line"] == f"{line['node']}: booted by the fake cloud"
    assert (line["group"], line["at"]) == ("head", None)


def test_in_a_matrix_the_nodes_are_those_of_the_cells(tmp_path: Path) -> None:
    folder = new(tmp_path)
    single = CLUSTER.partition("[groups.head]")[0]
    (folder / "spotdeploy.toml").write_text(
        f'{single}[nodes]\ncount = 1\n[matrix]\nsize = ["small", "large"]\n'
    )
    done = spotdeploy(folder, "create")
    assert done.returncode == 3, done
    done = spotdeploy(folder, "logs")
    assert done.stdout.count(": booted by the fake cloud\n") == 2, done
    done = spotdeploy(folder, "run", "--only", "size=large", "--json", "--", "true")
    (answer,) = json.loads(done.stdout)
    assert "large" in answer["node"]
    done = spotdeploy(folder, "run", "--only", "size=huge", "--", "true")
    assert done.returncode == 2
    assert "size is never 'huge'" in done.stderr


def test_another_name_than_the_configs_has_other_nodes(made: Path) -> None:
    done = spotdeploy(made, "run", "--deployment", "other", "--", "true")
    assert done.returncode == 2, done
    assert "other has no nodes to ask" in done.stderr


def test_the_report_tells_what_all_nodes_failed_at_once(made: Path) -> None:
    shown = spotdeploy(made, "report").stdout
    (told,) = [line for line in shown.splitlines() if line.startswith("  3 nodes: ")]
    assert told.removeprefix("  3 nodes: ")
    assert not [line for line in shown.splitlines() if line.startswith("  shop-")]
