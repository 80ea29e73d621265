"""How an entry is run, and what is refused because no node could run it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.phases.entry import read_entry
from spotdeploy.project import Project

HOME = "/opt/spotdeploy/payload"


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """The command for an entry of this name, content and mode."""

    def read(name: str, content: bytes | None, mode: int = 0o755) -> tuple[str, ...]:
        (tmp_path / "spotdeploy.toml").write_text(
            f'deployment = "a"\n[payload]\npath = "app"\nentry = "{name}"\n'
        )
        entry = tmp_path / "app" / name
        entry.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            entry.write_bytes(content)
            entry.chmod(mode)
        project = Project.open(tmp_path / "spotdeploy.toml")
        return read_entry(project, read_manifest(project.settings))

    return read


Command = Callable[..., tuple[str, ...]]


@pytest.mark.parametrize(
    ("name", "content", "mode", "prefix"),
    [
        ("deploy.sh", b"#!/bin/bash\nset -o pipefail\n", 0o755, ("/bin/bash",)),
        ("deploy.sh", b"#!/bin/bash\n", 0o644, ("/bin/bash",)),
        ("deploy.sh", b"set -eu\n", 0o644, ("/bin/sh",)),
        ("deploy.py", b"print(1)\r\n", 0o644, ("/usr/bin/python3", "-B")),
        ("deploy.py", b"#!/usr/bin/env python3.11\n", 0o644, ("/usr/bin/env", "python3.11")),
        ("in/deploy", b"#! /usr/bin/env -S node -r x \n", 0o755, ("/usr/bin/env", "-S node -r x")),
        ("deploy", b"\x7fELF\x02\r\n", 0o755, ()),
        ("deploy", b"echo without a first line of its own", 0o755, ()),
        ("deploy", b"#!/opt/spotdeploy/payload/deploy\n", 0o755, (f"{HOME}/deploy",)),
        ("deploy", b"#!/usr/local/bin/perhaps", 0o755, ("/usr/local/bin/perhaps",)),
    ],
)
def test_the_first_line_decides_and_then_the_ending(
    command: Command, name: str, content: bytes, mode: int, prefix: tuple[str, ...]
) -> None:
    assert command(name, content, mode) == (*prefix, f"{HOME}/{name}")


@pytest.mark.parametrize(
    ("name", "content", "mode", "why", "hint"),
    [
        ("deploy", b"#!/bin/bash\n", 0o644, "deploy is not executable", "chmod +x"),
        ("deploy.rb", b"puts 1\n", 0o664, "deploy.rb is not executable", "chmod +x"),
        ("deploy", b"#!/bin/bash\r\nset -e\r\n", 0o755, "CRLF", "sed -i"),
        ("deploy.sh", b"set -e\r\n", 0o644, "CRLF", "eol=lf"),
        ("deploy.py", b"#!/usr/bin/env python3\r\n", 0o755, "CRLF", "sed -i"),
        ("deploy.sh", b"\xef\xbb\xbf#!/bin/sh\n", 0o755, "byte order mark", "without BOM"),
        ("deploy.py", "\ufeffprint(1)".encode("utf-16"), 0o755, "byte order mark", "UTF-8"),
        ("deploy", b"#!\n", 0o755, "names '' as its interpreter", "image has"),
        ("deploy", b"#!bash\n", 0o755, "'bash' as its interpreter, which is no absolute", "env"),
        ("deploy", b"#!/tmp/x/python\n", 0o755, "which is on this computer only", "env"),
        ("deploy", b"#!/opt/homebrew/bin/bash\n", 0o755, "on this computer only", "/bin/sh"),
        ("deploy", b"#!/opt/spotdeploy/payload/bin/x\n", 0o755, "nothing of that name", "image"),
    ],
)
def test_what_no_node_could_run_is_refused_with_what_to_do(
    command: Command, name: str, content: bytes, mode: int, why: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        command(name, content, mode)
    assert caught.value.message.startswith("payload.entry: ")
    assert why in caught.value.message
    assert hint in (caught.value.hint or "")


def test_an_interpreter_in_the_projects_own_folder_is_on_no_node(
    command: Command, tmp_path: Path
) -> None:
    python = f"{tmp_path}/.venv/bin/python"
    with pytest.raises(ConfigError, match="on this computer only"):
        command("deploy", f"#!{python}\n".encode())


def test_an_entry_that_is_missing_a_folder_or_left_out_is_refused(
    command: Command, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="app/deploy does not exist"):
        command("deploy", None)
    (tmp_path / "app/deploy").mkdir()
    with pytest.raises(ConfigError, match="app/deploy is a folder"):
        command("deploy", None)
    (tmp_path / "app/.spotdeployignore").write_text("deploy/\n")
    with pytest.raises(ConfigError, match=r"app/deploy is left out: see \.spotdeployignore"):
        command("deploy", None)


def test_an_entry_may_be_a_link_inside_the_payload_and_not_out_of_it(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "app/versions").mkdir(parents=True)
    (tmp_path / "app/versions/two").write_text("#!/bin/dash\n")
    (tmp_path / "app/versions/two").chmod(0o755)
    (tmp_path / "app/deploy").symlink_to("versions/two")
    assert command("deploy", None) == ("/bin/dash", f"{HOME}/deploy")
    (tmp_path / "app/deploy").unlink()
    (tmp_path / "app/deploy").symlink_to("/bin/true")
    with pytest.raises(ConfigError, match="deploy is a link that points out of the payload"):
        command("deploy", None)
