"""Bad input: one line that names the thing, exit code 2, nothing created."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = 'deployment = "bad"\nproviders = ["fake"]\n[payload]\npath = "instance"\nentry = "e.sh"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    return tmp_path


def cycle(folder: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "spotdeploy", "cycle"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(folder: Path, text: str, done: subprocess.CompletedProcess[str] | None = None) -> None:
    done = done or cycle(folder)
    first = done.stderr.splitlines()[0] if done.stderr else ""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert first.startswith("error: ")
    assert text in first
    assert "Traceback" not in done.stderr
    assert not (folder / ".spotdeploy" / "fake-cloud.json").exists()


def add(text: str) -> Callable[[Path], None]:
    """Append to the config."""

    def change(folder: Path) -> None:
        with (folder / "spotdeploy.toml").open("a") as file:
            file.write(text)

    return change


def swap(old: str, new: str) -> Callable[[Path], None]:
    """Replace in the config."""

    def change(folder: Path) -> None:
        path = folder / "spotdeploy.toml"
        path.write_text(path.read_text().replace(old, new))

    return change


def escape(folder: Path) -> None:
    (folder / "instance" / "x").symlink_to("/etc/hostname")


def not_executable(folder: Path) -> None:
    (folder / "instance/deploy").write_text("#!/bin/sh\n")
    swap('"e.sh"', '"deploy"')(folder)


def windows(folder: Path) -> None:
    (folder / "instance/e.sh").write_bytes(b"#!/bin/sh\r\ntrue\r\n")


def made_here(folder: Path) -> None:
    (folder / "instance/e.sh").write_text("#!/Users/me/.venv/bin/python\n")


def dangle(folder: Path) -> None:
    (folder / "instance" / "x").symlink_to("nothing-there")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (add("[nodes]\ncuont = 1\n"), "nodes.cuont: unknown key"),
        (add('[nodes]\ncount = "three"\n'), "nodes.count: should be a whole number"),
        (add("[nodes]\nopen_ports = [0]\n"), "nodes.open_ports[0]"),
        (add('[nodes]\nopen_between = ["9-3"]\n'), "nodes.open_between[0]: '9-3' is not a port"),
        (add('[nodes]\nopen_between = "al"\n'), "nodes.open_between: 'al' is not a choice"),
        (
            add('[[checks]]\ntype = "http"\nport = 70000\n'),
            "checks[0].port: should be at most 65535",
        ),
        (add('[[checks]]\ntype = "tcp"\n'), "checks[0].port: missing"),
        (add('[[checks]]\ntype = "nonsense"\n'), "checks[0].type: 'nonsense' is not a check"),
        (add('[[checks]]\ntype = "tcp"\nport = 1\nwithin = "soon"\n'), "checks[0].within: 'soon'"),
        (add('[timeouts]\nboot = "-5s"\n'), "timeouts.boot: '-5s' is not a duration"),
        (swap('"bad"', '"Bäd name"'), "deployment: should be lower case letters"),
        (swap('"bad"', '"../../etc"'), "deployment: should be lower case letters"),
        (swap('"instance"', '"nowhere"'), "nowhere is not a folder"),
        (swap('"e.sh"', '"absent.sh"'), "absent.sh does not exist"),
        (swap('"e.sh"', '"../e.sh"'), "escapes the payload"),
        (swap('["fake"]', '["nonsense"]'), "no plugin named 'nonsense' is installed; known:"),
        (escape, "x is a link that points out of the payload: to /etc/hostname"),
        (not_executable, "instance/deploy is not executable"),
        (windows, "e.sh ends as on Windows (CRLF)"),
        (made_here, "names '/Users/me/.venv/bin/python' as its interpreter"),
        (dangle, "x"),
    ],
)
def test_a_mistake_is_one_line_and_creates_nothing(
    folder: Path, change: Callable[[Path], None], text: str
) -> None:
    change(folder)
    refused(folder, text)


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "instance" / "secret").write_text("x")
    (folder / "instance" / "secret").chmod(0)
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    refused(folder, "cannot read", cycle(folder, *without))


def test_a_disk_that_is_full_is_refused_before_anything_is_made(folder: Path) -> None:
    state = folder / ".spotdeploy"
    state.mkdir()
    script = (
        f"mount -t tmpfs -o size=4096 none {state} && head -c 4096 /dev/zero > {state}/full; "
        f"exec {sys.executable} -m spotdeploy cycle"
    )
    done = cycle_in_mounts(folder, script)
    refused(folder, "journal", done)


def cycle_in_mounts(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_root_the_local_provider_says_what_to_do(folder: Path) -> None:
    swap('["fake"]', '["local"]')(folder)
    folder.chmod(0o777)
    done = cycle_in_mounts(folder, f"exec unshare --user {sys.executable} -m spotdeploy cycle")
    refused(folder, "local local: ", done)
    assert "root" in done.stderr
    assert "sudo" in done.stderr


def test_without_an_engine_the_local_provider_names_what_to_install(folder: Path) -> None:
    swap('["fake"]', '["local"]')(folder)
    empty = folder / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "spotdeploy", "cycle"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": str(empty)},
    )
    refused(folder, "systemd-nspawn", done)
    assert "apt-get install" in done.stderr


def test_an_unknown_command_suggests_the_nearest(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spotdeploy", "cylce"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Did you mean 'cycle'?" in done.stderr


def test_completion_names_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from spotdeploy.__main__ import main; main()"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "_SPOTDEPLOY_COMPLETE": "complete_bash",
            "COMP_WORDS": "spotdeploy cy",
            "COMP_CWORD": "1",
        },
    )
    assert "cycle" in done.stdout or "cycle" in done.stderr
