"""The check `payload`: is it the tree's payload, and whole."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.check import Check, CommandResult, Connection
from spotdeploy.model import Manifest, Node, NodeState
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks import drift
from spotdeploy_checks.payload import PayloadCheck, version
from tests.plugins.checks.shipped import OWN, ShippedNode, login, ship

NODE = Node("n-1", "node-1", "fake", "here", NodeState.RUNNING)
EMPTY = Manifest(())
WHOLE = CommandResult(0, f"{EMPTY.digest}\0~\0", "")


def who(text: str) -> CommandResult:
    return CommandResult(0, text, "")


OURS = who(f"S {' '.join(OWN)}\nL {login(*OWN)}")


class TestPayloadContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return PayloadCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "payload"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection({"journalctl": OURS, "uniq": WHOLE})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection({"journalctl": OURS, "uniq": CommandResult(0, "\0~\0", "")})


def fill(tree: Path, uploads: Path) -> None:
    """A payload with what payloads have."""
    (tree / "scripts/lib").mkdir(parents=True)
    (tree / "scripts/deploy.py").write_text("import lib.tools\n")
    (tree / "scripts/deploy.py").chmod(0o755)
    (tree / "scripts/lib/tools.py").write_text("x = 1\n")
    (tree / "conf é" / "deep").mkdir(parents=True)
    (tree / "conf é" / "deep" / "a b'\\c.ini").write_text("answer = 42\n")
    (tree / "empty").touch()
    (uploads / "bin").mkdir()
    (uploads / "bin/tool").write_bytes(b"\x7fELF" + bytes(100))
    (uploads / "bin/tool").chmod(0o4750)
    (uploads / "notes.txt").write_text("hello\n")
    (tree / "logs").mkdir()
    (tree / "again").symlink_to("scripts/lib")
    (tree / "scripts/up").symlink_to("deploy.py")
    (uploads / "b").symlink_to("bin/tool")


@pytest.fixture
async def node(tmp_path: Path) -> ShippedNode:
    return await ship(tmp_path, fill)


async def drifted(node: ShippedNode) -> list[str]:
    """The differences that the check names."""
    result = await node.check()
    assert (result.ok, result.final) == (False, True), result
    assert result.detail.startswith("drift: ")
    assert "\n" not in result.detail
    named = result.detail.removeprefix("drift: ").removesuffix(f"; {drift.ELSEWHERE}").split("; ")
    written = any("was added" in one or "was changed" in one for one in named)
    assert written == result.detail.endswith(drift.ELSEWHERE)
    return named


async def test_a_node_as_it_was_shipped_passes_with_three_commands(node: ShippedNode) -> None:
    node.here.asked.clear()
    result = await node.check()
    assert result.ok, result
    assert len(node.here.asked) == 3


async def test_an_empty_payload_passes(tmp_path: Path) -> None:
    node = await ship(tmp_path, lambda tree, uploads: None)
    assert (await node.check()).ok


@pytest.mark.parametrize(
    "path",
    ["payload/scripts/lib/tools.py", "payload/conf é/deep/a b'\\c.ini", "uploaded_files/bin/tool"],
)
async def test_a_changed_file_is_named(node: ShippedNode, path: str) -> None:
    root = "opt/spotdeploy" if path.startswith("payload") else "opt"
    file = node.root / root / path
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    file.chmod(before.st_mode & 0o7777)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await drifted(node) == [f"/{root}/{path} was changed"]


async def test_a_changed_mode_is_named_special_bits_too(node: ShippedNode) -> None:
    (node.payload / "scripts/deploy.py").chmod(0o700)
    (node.uploaded / "bin/tool").chmod(0o4755)
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/scripts/deploy.py has mode 0700, not 0755",
        "/opt/uploaded_files/bin/tool has mode 4755, not 0755",
    ]


async def test_a_file_that_was_changed_in_content_and_mode_is_named_once(node: ShippedNode) -> None:
    (node.payload / "empty").write_text("no more")
    (node.payload / "empty").chmod(0o600)
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/empty was changed and has mode 0600, not 0644"
    ]


async def test_another_owner_of_a_shipped_file_is_named(node: ShippedNode) -> None:
    os.chown(node.payload / "empty", 1234, -1)
    os.chown(node.uploaded / "notes.txt", -1, 55)
    os.chown(node.uploaded, 1234, 1234)
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/empty belongs to 1234:0, not 0:0",
        "/opt/uploaded_files/notes.txt belongs to 0:55, not 0:0",
    ]


async def test_a_link_that_points_elsewhere_or_became_a_file_is_named(node: ShippedNode) -> None:
    for link, target in ((node.payload / "again", "/etc/passwd"), (node.uploaded / "b", "notes.t")):
        link.unlink()
        link.symlink_to(target)
    (node.payload / "scripts/up").unlink()
    shutil.copy(node.payload / "empty", node.payload / "scripts/up")
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/again points to /etc/passwd, not scripts/lib",
        "/opt/spotdeploy/payload/scripts/up is a file now",
        "/opt/uploaded_files/b points to notes.t, not bin/tool",
    ]


async def test_a_missing_file_is_named(node: ShippedNode) -> None:
    (node.payload / "empty").unlink()
    shutil.rmtree(node.uploaded / "bin")
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/empty is missing",
        "/opt/uploaded_files/bin is missing",
        "/opt/uploaded_files/bin/tool is missing",
    ]


async def test_everything_added_to_the_payload_is_named(node: ShippedNode) -> None:
    (node.payload / "scripts/new.sh").write_text("true")
    (node.payload / "folder").mkdir()
    (node.payload / "link").symlink_to("/etc/passwd")
    (node.payload / ".hidden").touch()
    assert await drifted(node) == [
        f"/opt/spotdeploy/payload/{path} was added"
        for path in (".hidden", "folder", "link", "scripts/new.sh")
    ]


async def test_services_may_write_beside_the_uploaded_files(node: ShippedNode) -> None:
    (node.uploaded / "cache").mkdir()
    (node.uploaded / "cache/data").write_text("x")
    assert (await node.check()).ok


async def test_a_file_that_became_a_link_to_the_same_content_is_named(node: ShippedNode) -> None:
    file = node.payload / "scripts/lib/tools.py"
    shutil.copy2(file, node.root / "elsewhere.py")
    file.unlink()
    file.symlink_to(node.root / "elsewhere.py")
    assert await drifted(node) == ["/opt/spotdeploy/payload/scripts/lib/tools.py is a link now"]


def swap_payload(node: ShippedNode) -> None:
    node.payload.rename(node.root / "moved")
    node.payload.symlink_to(node.root / "moved")


def swap_uploads(node: ShippedNode) -> None:
    node.uploaded.rename(node.root / "moved")
    node.uploaded.symlink_to(node.root / "moved")


def swap_subfolder(node: ShippedNode) -> None:
    (node.payload / "scripts").rename(node.root / "moved")
    (node.payload / "scripts").symlink_to(node.root / "moved")


@pytest.mark.parametrize("swap", [swap_payload, swap_uploads, swap_subfolder])
async def test_a_folder_that_became_a_link_to_the_same_files_is_named(
    node: ShippedNode, swap: Callable[[ShippedNode], None]
) -> None:
    swap(node)
    assert any(message.endswith(" is a link now") for message in await drifted(node))


async def test_what_can_not_be_read_to_an_end_is_named_and_not_read(node: ShippedNode) -> None:
    (node.payload / "empty").unlink()
    os.mkfifo(node.payload / "empty")
    os.mkfifo(node.payload / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(node.payload / "s"))
        assert await drifted(node) == [
            "/opt/spotdeploy/payload/empty is a pipe now",
            "/opt/spotdeploy/payload/pipe was added",
            "/opt/spotdeploy/payload/s was added",
        ]


async def test_what_python_caches_of_shipped_sources_is_no_drift(node: ShippedNode) -> None:
    cache = node.payload / "scripts/lib/__pycache__"
    cache.mkdir()
    (cache / "tools.cpython-311.pyc").write_bytes(b"x")
    (cache / "tools.cpython-311.opt-1.pyc").write_bytes(b"x")
    assert (await node.check()).ok
    (cache / "other.cpython-311.pyc").write_bytes(b"x")
    (cache / "tools.py").write_bytes(b"x")
    (node.payload / "conf é/__pycache__").mkdir()
    assert await drifted(node) == [
        "/opt/spotdeploy/payload/conf é/__pycache__ was added",
        "/opt/spotdeploy/payload/scripts/lib/__pycache__/other.cpython-311.pyc was added",
        "/opt/spotdeploy/payload/scripts/lib/__pycache__/tools.py was added",
    ]


async def test_hostile_names_are_named_harmlessly(node: ShippedNode) -> None:
    for name in ("a\nb", "\x1b[2Jc", "--\n==", "-rf"):
        (node.payload / name).touch()
    Path(os.fsdecode(os.fsencode(node.payload) + b"/\xff\xfe")).touch()
    result = await node.check()
    assert result.final
    assert "\x1b" not in result.detail
    assert result.detail.count("was added") == 5
    assert "\ufffd\ufffd was added" in result.detail


async def test_many_differences_are_named_up_to_a_number(node: ShippedNode) -> None:
    for number in range(drift.NAMED + 25):
        (node.payload / f"n{number}").touch()
    names = await drifted(node)
    assert len(names) == drift.NAMED + 1
    assert names[-1] == "and 25 more"


async def test_a_payload_of_many_files_gives_a_short_answer(tmp_path: Path) -> None:
    def many(tree: Path, uploads: Path) -> None:
        for number in range(3000):
            (tree / f"a-rather-long-name-for-a-small-file-{number}").write_text(str(number))

    node = await ship(tmp_path, many)
    assert (await node.check()).ok
    (node.payload / "a-rather-long-name-for-a-small-file-7").write_text("8")
    assert len(await drifted(node)) == 1


async def test_a_tree_that_changed_since_makes_the_node_stale(
    node: ShippedNode, tmp_path: Path
) -> None:
    (tmp_path / "tree/empty").write_text("edited here")
    was, now = node.here.manifest, build_manifest(tmp_path / "tree", [tmp_path / "uploads"])
    node.here.manifest = now
    result = await node.check()
    assert (result.ok, result.final) == (False, True)
    assert result.detail == (
        "stale: the tree has changed since this node was created (the node has "
        f"{was.digest[:12]}, the tree is {now.digest[:12]}): payload/empty changed; "
        "run 'spotdeploy cycle'"
    )


async def test_a_stale_node_names_the_paths_and_of_many_the_number(
    node: ShippedNode, tmp_path: Path
) -> None:
    for number in range(30):
        (tmp_path / f"tree/n{number:02}").touch()
    (tmp_path / "tree/empty").unlink()
    (tmp_path / "tree/scripts/link").symlink_to("deploy.py")
    node.here.manifest = build_manifest(tmp_path / "tree", [tmp_path / "uploads"])
    detail = (await node.check()).detail
    assert "): payload/empty is gone; payload/n00 is new; payload/n01 is new; " in detail
    assert detail.endswith("; and 22 more; run 'spotdeploy cycle'")


async def test_a_node_that_was_updated_in_place_to_the_new_tree_is_drift(
    node: ShippedNode, tmp_path: Path
) -> None:
    (tmp_path / "tree/empty").write_text("edited here")
    node.here.manifest = build_manifest(tmp_path / "tree", [tmp_path / "uploads"])
    shutil.copy(tmp_path / "tree/empty", node.payload / "empty")
    (node.root / "opt/spotdeploy/manifest").write_text(node.here.manifest.text)
    result = await node.check()
    assert (result.ok, result.final) == (False, True)
    assert "drift: this node was created with" in result.detail


async def test_a_manifest_edited_on_the_node_is_drift(node: ShippedNode) -> None:
    with (node.root / "opt/spotdeploy/manifest").open("a") as file:
        file.write("\n")
    result = await node.check()
    assert result.final
    assert "drift: /opt/spotdeploy/manifest was changed on the node" in result.detail


@pytest.mark.parametrize("remains", ["folder", "nothing"])
async def test_a_node_without_a_manifest_was_never_shipped_to(
    node: ShippedNode, remains: str
) -> None:
    manifest = node.root / "opt/spotdeploy/manifest"
    manifest.unlink()
    if remains == "folder":
        manifest.mkdir()
    result = await node.check()
    assert result.detail == "nothing was shipped to this node"
    assert result.final


@pytest.mark.parametrize(
    ("there", "tree", "label", "begins"),
    [
        ("a" * 64, "a" * 64, "a" * 32, ""),
        ("a" * 64, "a" * 64, "", ""),
        ("a" * 64, "a" * 64, "b" * 32, "drift: this node was created with bbbbbbbbbbbb"),
        ("a" * 64, "b" * 64, "a" * 32, "stale: "),
        ("a" * 64, "b" * 64, "", "stale: "),
        ("a" * 64, "b" * 64, "b" * 32, "drift: /opt/spotdeploy/manifest"),
        ("a" * 64, "b" * 64, "c" * 32, "drift: /opt/spotdeploy/manifest"),
        ("", "b" * 64, "b" * 32, "nothing was shipped"),
    ],
)
def test_the_digests_of_node_tree_and_label_tell_what_happened(
    there: str, tree: str, label: str, begins: str
) -> None:
    message = version(there, tree, label)
    assert bool(message) == bool(begins)
    assert message.startswith(begins)


@pytest.mark.parametrize(
    "answer",
    [
        CommandResult(127, "", "sh: find: not found"),
        CommandResult(124, "", "no end within 120s"),
        CommandResult(0, f"{EMPTY.digest}\0~\0", "", truncated=True),
        CommandResult(0, f"{EMPTY.digest}\0", ""),
        CommandResult(0, f"{EMPTY.digest}\0~", ""),
        CommandResult(0, "rubbish\0", ""),
        CommandResult(0, f"{EMPTY.digest}\0rubbish\0~\0", ""),
    ],
)
async def test_a_look_that_failed_is_no_pass_and_is_asked_again(answer: CommandResult) -> None:
    connection = ScriptedConnection({"journalctl": OURS, "uniq": answer})
    result = await PayloadCheck(PayloadCheck.Settings(type="payload")).run(NODE, connection)
    assert (result.ok, result.final) == (False, False)


async def test_digests_that_could_not_be_made_are_no_pass(node: ShippedNode) -> None:
    node.here.answers["env"] = CommandResult(127, "", "env: sha256sum: not found")
    result = await node.check()
    assert (result.ok, result.final) == (False, False)
    assert "the node did not tell the digests of the shipped files" in result.detail


@pytest.mark.parametrize("tool", ["sort", "uniq", "find", "xargs", "tr", "sha256sum"])
async def test_a_tool_of_the_look_that_fails_is_no_pass(tmp_path: Path, tool: str) -> None:
    node = await ship(tmp_path, lambda tree, uploads: (tree / "a").touch())
    assert (await node.check()).ok
    (node.root / "bin" / tool).write_text("#!/bin/sh\nexit 1\n")
    (node.root / "bin" / tool).chmod(0o755)
    assert not (await node.check()).ok
