"""A node with a shipped payload: real files, the real commands, and a journal written by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.check import CheckResult
from spotdeploy.model import Node, NodeState
from spotdeploy.payload.archive import stream
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.phases.ship import receive_script
from spotdeploy_checks.payload import PayloadCheck
from tests.plugins.checks.here import Here, configured

OWN = ("10.0.0.1", "50001")
JOURNALCTL = '#!/bin/sh\necho "$@" > {root}/journalctl-was-asked\ncat {root}/journal\n'


WHEN = "2026-11-24T04:20:23+0000"
NOW = "2026-11-24T04:30:00+0000"


def line(output: str, when: str = WHEN, program: str = "sshd[86]") -> str:
    """One line of the journal, as `journalctl --output=short-iso --utc` prints it."""
    return f"{when} node-1 {program}: {output}\n"


def login(address: str, port: str, user: str = "spotdeploy", when: str = WHEN) -> str:
    """What sshd says of a login, without its session."""
    key = "ED25519 SHA256:oRJj+/gk"
    return line(f"Accepted publickey for {user} from {address} port {port} ssh2: {key}", when)


def end(when: str, program: str = "sshd[86]") -> str:
    """What sshd says when a login of its own ends."""
    return line("pam_unix(sshd:session): session closed for user spotdeploy", when, program)


def session(kind: str, address: str, port: str, user: str = "spotdeploy", number: int = 0) -> str:
    """What sshd says when something is run in a login."""
    output = f"Starting session: {kind} for {user} from {address} port {port} id {number}"
    return line(output, program="sshd[92]")


@dataclass
class ShippedNode:
    """The node. Nothing is wrong with it at first."""

    root: Path
    here: Here
    labels: dict[str, str]

    @property
    def payload(self) -> Path:
        return self.root / "opt/spotdeploy/payload"

    @property
    def uploaded(self) -> Path:
        return self.root / "opt/uploaded_files"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/spotdeploy"

    def clock(self, now: str) -> None:
        """Set the node's clock."""
        (self.root / "bin/date").write_text(f"#!/bin/sh\necho 'N {now}'\n")
        (self.root / "bin/date").chmod(0o755)

    def journal(self, *lines: str) -> None:
        """Add lines to the journal."""
        with (self.root / "journal").open("a") as file:
            file.writelines(lines)

    def register(self, address: str, port: str) -> None:
        """Register a connection of spotdeploy's own."""
        with (self.state / "sessions").open("a") as file:
            file.write(f"{address} {port}\n")

    async def check(self) -> CheckResult:
        """Ask the check once."""
        node = Node("n-1", "node-1", "fake", "here", NodeState.RUNNING, labels=self.labels)
        return await configured(PayloadCheck).run(node, self.here)


async def ship(folder: Path, fill: Callable[[Path, Path], None]) -> ShippedNode:
    """Build a payload, and deliver it the way the ship phase does."""
    tree, uploads, root = folder / "tree", folder / "uploads", folder / "node"
    for each in (tree, uploads, root / "bin"):
        each.mkdir(parents=True)
    fill(tree, uploads)
    manifest = build_manifest(tree, [uploads])
    node = ShippedNode(root, Here(root=root, manifest=manifest), {})
    node.labels = {"spotdeploy-digest": manifest.digest[:32]}
    script = ["sh", "-c", receive_script(manifest.digest)]
    done = await node.here.run(script, stdin=b"".join(stream(manifest)))
    assert done.exit_code == 0, done
    node.state.mkdir(parents=True)
    (root / "bin/journalctl").write_text(JOURNALCTL.format(root=root))
    (root / "bin/journalctl").chmod(0o755)
    node.clock(NOW)
    node.register(*OWN)
    node.journal(login(*OWN), session("command", *OWN), session("command", *OWN, number=1))
    (node.state / "ends-at").write_text("0")
    os.utime(node.state / "ends-at", (1_795_000_000, 1_795_000_000))
    return node
