"""What nodes do to those who bring them up: warnings, half uploads, reboots that have not come."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import cast

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.config.schema import Config, Nodes
from spotdeploy.errors import ConfigError, PayloadError, ShutOutError, UnreachableError
from spotdeploy.events import Note
from spotdeploy.model import Manifest, Node, NodeState
from spotdeploy.node import keys, paths
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.user_data import UserData
from spotdeploy.payload.archive import stream
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.phases.reboot import log_in_again, reboot
from spotdeploy.phases.settle import held, wait_for_cloud_init, wait_for_packages
from spotdeploy.phases.ship import receive_script, ship
from spotdeploy.phases.verify import connect
from spotdeploy.run.context import Plan
from spotdeploy.run.node_run import NodeRun
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.connection import ScriptedConnection
from tests.fake_project import FakeProject
from tests.plugins.checks.here import Here
from tests.properties import virtual

FakeProjects = Callable[..., FakeProject]
NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
SETTLED = {
    "cloud-init status": CommandResult(0, "status: done\n", ""),
    "is-system-running": CommandResult(0, "running\n", ""),
}
EC2_LIMIT = 16 * 1024


class Rebooting(ScriptedConnection):
    """A node whose ssh dies at the reboot, or answers as if nothing were."""

    def __init__(
        self, *, cut: bool, refused: int = 0, early: int = 0, why: UnreachableError | None = None
    ) -> None:
        super().__init__(
            {
                "systemctl --no-block reboot": self._go,
                f"test -e {paths.BEFORE_REBOOT_RUN}": self._ask,
                **SETTLED,
            }
        )
        self.node = NODE
        self.connected = True
        self.attempts = 0
        self._cut, self._refused, self._early = cut, refused, early
        self._why = why or UnreachableError("demo-1: connection refused", phase="connection")

    async def connect(self, timeout: float = 15.0) -> None:
        del timeout
        self.attempts += 1
        if self.attempts <= self._refused:
            raise self._why
        self.connected = True

    async def close(self) -> None:
        self.connected = False

    def _go(self, command: Sequence[str], stdin: bytes) -> CommandResult:
        del command, stdin
        if self._cut:
            self.connected = False
            raise UnreachableError("demo-1: the connection was lost", phase="connection")
        return CommandResult(0, "", "")

    def _ask(self, command: Sequence[str], stdin: bytes) -> CommandResult:
        del command, stdin
        self._early -= 1
        return CommandResult(0, "" if self._early >= 0 else "rebooted\n", "")


def new_run(fake_project: FakeProject, line: ScriptedConnection) -> NodeRun:
    plan = Plan(Manifest(()), ())
    here = fake_project.run.locations[0]
    return NodeRun(replace(fake_project.run, plan=plan), here, NODE, cast("NodeConnection", line))


def test_the_connection_that_dies_at_the_reboot_is_made_again_with_backoff(
    fake_project: FakeProjects,
) -> None:
    line = Rebooting(cut=True, refused=29)
    clock = ManualClock()
    began = clock.now()
    virtual.run(clock, reboot(new_run(fake_project(), line)))
    assert line.attempts == 30
    assert clock.now() - began > 5, "tries that come as fast as the first ones are no backoff"


def test_an_ssh_that_answers_before_the_reboot_is_no_proof_of_it(
    fake_project: FakeProjects,
) -> None:
    line = Rebooting(cut=False, early=20)
    virtual.run(ManualClock(), reboot(new_run(fake_project(), line)))
    asked = [command for command in line.asked if paths.BEFORE_REBOOT_RUN in command[-1]]
    assert len(asked) == 22, "the order, twenty answers of the node that was, and one of the new"


def test_a_node_that_never_goes_down_or_never_comes_back_fails(fake_project: FakeProjects) -> None:
    for line in (Rebooting(cut=False, early=10**9), Rebooting(cut=True, refused=10**9)):
        with pytest.raises(PayloadError, match="did not come back after the reboot"):
            virtual.run(ManualClock(), reboot(new_run(fake_project(), line)))


NEVER = 10**9


@pytest.mark.parametrize(
    ("why", "message"),
    [
        (
            ShutOutError("demo-1: its host key is not the expected one", phase="connection"),
            "it came back after the reboot, but its ssh no longer lets us in: its host key is not",
        ),
        (
            ShutOutError("demo-1: it does not accept our key (yet)", phase="connection"),
            "its ssh no longer lets us in: it does not accept our key",
        ),
        (
            UnreachableError("demo-1: connection refused: nothing listens on port 22", phase="x"),
            "it did not come back after the reboot: connection refused: nothing listens on port 22",
        ),
    ],
)
def test_what_the_payload_did_to_ssh_is_told_and_is_its_failure(
    fake_project: FakeProjects, why: UnreachableError, message: str
) -> None:
    line = Rebooting(cut=True, refused=NEVER, why=why)
    with pytest.raises(PayloadError, match=message):
        virtual.run(ManualClock(), reboot(new_run(fake_project(), line)))


def test_a_payload_that_shuts_us_out_without_a_reboot_is_found_out_too(
    fake_project: FakeProjects,
) -> None:
    key = ShutOutError("demo-1: it does not accept our key (yet)", phase="connection")
    port = UnreachableError("demo-1: nothing listens on port 22", phase="connection")
    port.__cause__ = ConnectionRefusedError()
    for why, message in ((key, "its ssh no longer lets us in"), (port, "nothing listens")):
        node_run = new_run(fake_project(), Rebooting(cut=True, refused=NEVER, why=why))
        with pytest.raises(PayloadError, match=f"it was deployed, .*{message}"):
            virtual.run(ManualClock(), log_in_again(node_run))


def test_a_silent_network_after_the_deploy_is_nobodys_failure_yet(
    fake_project: FakeProjects,
) -> None:
    for line in (Rebooting(cut=True, refused=NEVER), Rebooting(cut=True, refused=3)):
        virtual.run(ManualClock(), log_in_again(new_run(fake_project(), line)))


class Known(Rebooting):
    """A node that an earlier run made."""

    host_key = "ssh-ed25519 AAAA"


@pytest.mark.parametrize("unknown", [False, True])
def test_a_node_that_shuts_verify_out_is_to_blame_if_it_is_known_to_be_the_node(
    fake_project: FakeProjects, unknown: bool
) -> None:
    why = ShutOutError("demo-1: it has no room for us", phase="connection", unknown=unknown)
    node_run = new_run(fake_project(), Known(cut=True, refused=NEVER, why=why))
    with pytest.raises(UnreachableError if unknown else PayloadError, match="no room for us"):
        virtual.run(ManualClock(), connect(node_run))


def test_a_node_without_a_host_key_on_record_cannot_be_verified(fake_project: FakeProjects) -> None:
    line = Known(cut=False)
    line.host_key = ""
    with pytest.raises(UnreachableError, match="cannot be proven"):
        virtual.run(ManualClock(), connect(new_run(fake_project(), line)))
    assert line.attempts == 0


def holding(*answers: str) -> ScriptedConnection:
    """A node whose own jobs use its packages for so many looks."""
    left = list(answers)

    def look(command: Sequence[str], stdin: bytes) -> CommandResult:
        return CommandResult(0, left.pop(0) if left else "", "")

    return ScriptedConnection({"dpkg/lock": look, **SETTLED})


def test_package_locks_of_the_boot_are_waited_for_and_told_once(fake_project: FakeProjects) -> None:
    here, clock = fake_project(), ManualClock()
    began = clock.now()
    line = holding(*["/var/lib/dpkg/lock is locked by apt-get\napt-daily.service runs\n"] * 20)
    virtual.run(clock, wait_for_packages(new_run(here, line), 60.0))
    assert 19 <= clock.now() - began <= 30
    (note,) = (event for event in here.ears.received if isinstance(event, Note))
    assert "locked by apt-get; apt-daily.service runs" in note.text


def test_locks_that_outlast_the_boots_time_are_not_the_payloads_failure(
    fake_project: FakeProjects,
) -> None:
    line = holding(*["/var/lib/rpm/.rpm.lock is locked by dnf"] * 999)
    with pytest.raises(UnreachableError, match=r"locked by dnf, for longer than"):
        virtual.run(ManualClock(), wait_for_packages(new_run(fake_project(), line), 60.0))


@pytest.mark.parametrize(
    "name", ["lib/dpkg/lock-frontend", "lib/apt/lists/lock", "lib/rpm/.rpm.lock"]
)
async def test_a_lock_is_seen_while_it_is_held(
    tmp_path: Path, fake_project: FakeProjects, name: str
) -> None:
    file = tmp_path / "var" / name
    file.parent.mkdir(parents=True)
    node_run = new_run(fake_project(), cast("ScriptedConnection", Here(root=tmp_path)))
    with file.open("w") as lock:
        assert await held(node_run) == ""
        fcntl.lockf(lock, fcntl.LOCK_EX)
        holder = Path("/proc/self/comm").read_text().strip()
        assert await held(node_run) == f"/var/{name} is locked by {holder}"
    assert await held(node_run) == ""


async def test_cloud_init_that_is_done_with_warnings_is_ready_and_the_warnings_are_shown(
    fake_project: FakeProjects,
) -> None:
    here = fake_project()
    output = CommandResult(2, "status: done\nrecoverable_errors:\n- WARNING: old key", "")
    await wait_for_cloud_init(new_run(here, ScriptedConnection({"cloud-init": output})), 5.0)
    (note,) = (event for event in here.ears.received if isinstance(event, Note))
    assert note.warning
    assert "WARNING: old key" in note.text


async def test_cloud_init_that_failed_is_not_ready(fake_project: FakeProjects) -> None:
    output = CommandResult(1, "status: error\n", "")
    with pytest.raises(UnreachableError, match="cloud-init failed: status: error"):
        await wait_for_cloud_init(
            new_run(fake_project(), ScriptedConnection({"cloud-init": output})), 5.0
        )


BOOTSTRAP = keys.new_pair("bootstrap").public


class Keyed(ScriptedConnection):
    """A connection that was made by the key in user-data."""

    host_key = BOOTSTRAP


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("ssh-ed25519 garbage", "no ssh key"),
        ("ssh-ed25519 " + "A" * 68, "no ssh key"),
        (keys.new_pair("a").public + "\n" + keys.new_pair("b").public, "not one ssh-ed25519 key"),
        ("\x1b[2J", "no ssh key"),
        (BOOTSTRAP, "gave the host key of its user-data for its own"),
        (BOOTSTRAP.rpartition(" ")[0] + " another comment", "gave the host key of its user-data"),
    ],
    ids=["short", "no key", "two", "escapes", "bootstrap", "bootstrap with a comment"],
)
async def test_a_node_that_gives_no_host_key_of_its_own_is_not_shipped_to(
    fake_project: FakeProjects, answer: str, message: str
) -> None:
    here = fake_project(count=1)
    (node,) = (await here.create()).nodes
    line = Keyed({"ssh-keygen": CommandResult(0, answer + "\n", "")})
    node_run = replace(new_run(here, line), node=node)
    with pytest.raises(UnreachableError, match=message) as told:
        await ship(node_run)
    assert "\x1b" not in str(told.value)
    assert here.run.journal.nodes("demo")[0].host_key is None
    assert line.host_key == BOOTSTRAP


@pytest.fixture
def node_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the node's script takes for the node's own /opt."""
    root = tmp_path / "node"
    root.mkdir()
    for name in ("ROOT", "PAYLOAD", "UPLOADED", "MANIFEST"):
        path = str(getattr(paths, name)).replace("/opt", str(root), 1)
        monkeypatch.setattr(paths, name, path)
    return root


def receive(digest: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    script = receive_script(digest)
    return subprocess.run(["sh", "-c", script], input=data, capture_output=True, check=False)


def test_half_an_upload_never_looks_complete(tmp_path: Path, node_side: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.txt").write_bytes(os.urandom(3000))
    (tree / "b.txt").write_bytes(os.urandom(3000))
    manifest = build_manifest(tree)
    whole = b"".join(stream(manifest))
    for size in range(0, len(whole) - 1024, 512):  # the last 1024 bytes only say that it ends
        assert receive(manifest.digest, whole[:size]).returncode != 0
        there = {path.name for path in (node_side / "spotdeploy").iterdir()}
        assert there <= {"incoming"}, f"{size} of {len(whole)} bytes"
    assert receive(manifest.digest, whole).returncode == 0
    assert (node_side / "spotdeploy/manifest").read_text() == manifest.text


def test_user_data_of_any_config_is_within_every_clouds_limit_and_else_refused_with_sizes() -> None:
    pair = keys.Keys(keys.new_pair("spotdeploy x"), keys.new_pair("spotdeploy x bootstrap"))
    nodes = Nodes(user="u" * 31)
    largest = Config(deployment="d" * 40, nodes=nodes)
    bootstrap = UserData(largest.nodes.user, pair, largest.nodes.time_to_live)
    assert len(bootstrap.encode(EC2_LIMIT)) <= EC2_LIMIT
    with pytest.raises(ConfigError, match=r"user-data is \d+ bytes even when compressed.*takes 99"):
        bootstrap.encode(99)


CLOCK = Template("""
life=7200 shortest=60
date() { echo $now; }
ends_at=$ends_at
$lines
echo "$$left"
""")


@pytest.mark.parametrize(
    ("now", "ends_at", "left"),
    [
        (1_000, 8_200, 7_200),
        (5_000, 8_200, 3_200),
        (8_190, 8_200, 60),
        (9_000, 8_200, 60),
        (2_000_000_000, 8_200, 7_200),  # the node began at 1970 and was set right meanwhile
        (1_000, 2_000_000_000, 7_200),
    ],
)
def test_the_time_to_live_counts_from_boot_on_the_node_whatever_its_clock_says(
    now: int, ends_at: int, left: int
) -> None:
    pair = keys.KeyPair("private", "public")
    script = UserData("u", keys.Keys(pair, pair), 7200).script()
    lines = [line for line in script.splitlines() if line.startswith(("left=", '[ "$left"'))]
    assert len(lines) == 3
    taken = "\n".join(lines).replace(f"$(cat {paths.STATE}/ends-at)", "$ends_at")
    text = CLOCK.substitute(now=now, ends_at=ends_at, lines=taken)
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert int(done.stdout) == left
    assert "OnBootSec=${left}s" in script
    assert str(2_000_000_000) not in script, "nothing of this computer's clock is in it"
