"""Infrastructure is immutable: a changed tree or a changed node never verifies green."""

from __future__ import annotations

import subprocess

import pytest

from spotdeploy_local.engines.default import default_engine
from tests.cycles.project import Project

pytestmark = pytest.mark.machines


@pytest.fixture
def deployed(project: Project) -> Project:
    """A project whose cycle passed."""
    project.file("conf/app.ini", "answer = 42\n")
    done = project.cycle()
    assert done.code == 0, done
    return project


def on_the_node(project: Project, script: str) -> None:
    """Run a script in the machine without ssh, as someone on its console would."""
    (node,) = project.nodes()
    (machine,) = [one for one in default_engine().machines() if one.id == node["id"]]
    assert machine.pid is not None
    leader = _leader(machine.pid)
    enter = ["nsenter", f"--target={leader}", "--mount", "--pid", "--root", "--wd"]
    subprocess.run([*enter, "sh", "-c", script], check=True)


def _leader(supervisor: int) -> int:
    """The machine's PID 1: the deepest first process below its supervisor that is an init."""
    found = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    children: dict[int, list[tuple[int, str]]] = {}
    for line in found.splitlines():
        pid, parent, args = line.split(None, 2)
        children.setdefault(int(parent), []).append((int(pid), args))
    waiting = [supervisor]
    while waiting:
        for child, args in children.get(waiting.pop(), []):
            if args.startswith(("/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init")):
                return child
            waiting.append(child)
    raise AssertionError(f"no init below {supervisor}")


def test_verify_is_green_when_nothing_changed(deployed: Project) -> None:
    done = deployed.run("verify")
    assert done.code == 0, done


def test_verify_is_not_green_when_the_tree_changed_since(deployed: Project) -> None:
    deployed.file("conf/app.ini", "answer = 43\n")
    done = deployed.run("verify")
    assert done.code == 1, done
    assert "stale" in done.out


def test_verify_names_each_shipped_file_that_was_edited_on_the_node(deployed: Project) -> None:
    on_the_node(
        deployed,
        "echo x >> /opt/spotdeploy/payload/conf/app.ini; touch /opt/spotdeploy/payload/new;"
        " chmod 600 /opt/spotdeploy/payload/entry.sh",
    )
    done = deployed.run("verify")
    assert done.code == 1, done
    for path in ("conf/app.ini", "new", "entry.sh"):
        assert path in done.out


def test_a_node_opened_with_spotdeploy_ssh_cannot_verify_green(deployed: Project) -> None:
    (node,) = deployed.nodes()
    looked = deployed.run("ssh", node["name"], "--", "hostname")
    assert (looked.code, looked.out.strip()) == (0, node["name"]), looked
    done = deployed.run("verify")
    assert done.code == 1, done
    assert "touched" in done.out


def test_a_login_with_the_bare_key_is_seen_too(deployed: Project) -> None:
    (node,) = deployed.nodes()
    state = deployed.folder / ".spotdeploy" / deployed.config["deployment"]
    proxy = " ".join(default_engine().proxy_command(node["id"], 22))
    subprocess.run(
        [
            "ssh",
            "-F",
            "/dev/null",
            "-i",
            state / "id_ed25519",
            "-o",
            f"ProxyCommand={proxy}",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "spotdeploy@node",
            "true",
        ],
        check=True,
        capture_output=True,
    )
    done = deployed.run("verify")
    assert done.code == 1, done
    assert "by hand" in done.out


def test_debug_only_looks_and_the_node_stays_green(deployed: Project) -> None:
    (node,) = deployed.nodes()
    debug = deployed.run("debug", node["name"])
    assert debug.code == 0, debug
    assert "deployed" in debug.out
    assert deployed.run("verify").code == 0
