"""The command line of `spotdeploy ssh`, read by OpenSSH itself."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from spotdeploy.model import Node, NodeState
from spotdeploy.node.access import NodeAccess, ssh_line
from spotdeploy.project import Project
from spotdeploy_local.network.dial import proxy_command

NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING, address="192.0.2.1")


def access(folder: Path) -> NodeAccess:
    folder.mkdir(parents=True)
    (folder / "spotdeploy.toml").write_text('deployment = "demo"\nproviders = ["fake"]\n')
    project = Project.open(folder / "spotdeploy.toml")
    return NodeAccess(project, project.open_provider("fake", "here"), NODE, "ssh-ed25519 AAAA")


@pytest.mark.parametrize(
    "name", ["my projects", 'a "b" c', "50% off", "${HOME}", "back\\slash", "~"]
)
def test_openssh_reads_it_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    line = ssh_line(access(tmp_path / name), ["true"])
    done = subprocess.run([line[0], "-G", *line[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = dict(option.split(" ", 1) for option in done.stdout.splitlines() if " " in option)
    assert options["identityfile"] == "id_ed25519"
    assert options["userknownhostsfile"] == "known_hosts"
    assert options["stricthostkeychecking"] in ("true", "yes")


@pytest.mark.parametrize("command", [[], ["hostname"], ["echo", "a;", "echo", "b"]])
def test_a_session_begins_with_the_mark_and_ends_without_it(
    tmp_path: Path, command: list[str]
) -> None:
    *_, remote = ssh_line(access(tmp_path / "x"), command)
    refused = "sudo() { return 1; }\n"
    done = subprocess.run(["bash", "-c", refused + remote], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_proxy_imports_nothing_from_the_folder_that_it_runs_in(tmp_path: Path) -> None:
    for module in ("ipaddress", "socket", "contextlib", "threading", "spotdeploy_local"):
        (tmp_path / f"{module}.py").write_text(f"open('{tmp_path}/ran-{module}', 'w')\n")
    command = proxy_command(tmp_path / "none", "10.77.0.2", 22)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not list(tmp_path.glob("ran-*")), shlex.join(command)
