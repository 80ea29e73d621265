"""Real machines: reaching behind a node's back, as its engine and this host see it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from abc import abstractmethod
from copy import deepcopy
from pathlib import Path
from typing import Any

from spotdeploy_local.engine import Machine
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux.cgroups import Groups
from spotdeploy_local.network.commands import port_name
from tests.cycles.project import Project, eventually
from tests.faults.testbed import TOKEN, Testbed
from tests.providers.local.nspawn_bench import Bench, namespace, ticks

CACHE = Path("/var/cache/spotdeploy")
UPLOAD_BYTES = 48 << 20


class NodeTestbed(Testbed):
    """A testbed whose nodes are real machines of an engine of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.deployment = f"f-{secrets.token_hex(4)}"
        self.engine = NspawnEngine(Layout(folder / "engine", CACHE))
        self._bench = Bench(self.engine, folder)
        self._mounts: list[Path] = []

    def __exit__(self, *_: object) -> None:
        """End what a case that failed has left."""
        self.engine.destroy([machine.id for machine in self.engine.machines()])
        for mounted in self._mounts:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)

    @abstractmethod
    def interrupt(self) -> None:
        """Take the one node back, as a spot market does."""

    def begin(self, project: Project) -> None:
        """Take a project of one node as it is for the healthy one."""
        self.project = project
        project.config["keep"] = "never"
        project.config["nodes"] = {"count": 1, "time_to_live": "30m"}
        project.config["timeouts"] = {"boot": "40s", "deploy": "60s", "reboot": "30s"}
        project.config["payload"]["reboot"] = False
        self.confide()
        self._healthy: dict[str, Any] = deepcopy(project.config)

    def heal(self) -> None:
        """See `Testbed`: the config and the payload are as at the beginning."""
        self.project.config = deepcopy(self._healthy)
        self.confide()
        self.project.write()

    def entry(self, script: str, *, reboot: bool = False) -> None:
        """A payload that prints its secret and then does this."""
        self.project.entry(f"echo deployed ${TOKEN}\n{script}")
        self.project.config["payload"]["reboot"] = reboot

    def check(self, command: str = "true", **settings: object) -> None:
        """One more check."""
        given = {"type": "command", "command": command, "within": "5s", "every": "200ms"}
        self.project.config.setdefault("checks", []).append(given | settings)

    def upload_much(self) -> None:
        """Make the payload large enough that its upload takes a while."""
        self.project.file("big.bin", "").write_bytes(os.urandom(UPLOAD_BYTES))

    def small(self, folder: Path, size: str) -> None:
        """Put a folder on a small disk of its own."""
        folder.mkdir(parents=True)
        options = ["-o", f"size={size},mode=755"]
        subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=True)
        self._mounts.append(folder)

    def machine(self) -> Machine:
        """The machine of the one node, which must run."""
        found = [machine for machine in self.engine.machines() if machine.pid]
        (machine,) = found
        self._bench.namespaces[namespace(Path(f"/proc/{machine.pid}"))] = ticks()
        return machine

    def on_disk(self, path: str) -> Path:
        """A path of the node, as this host sees what the node wrote there."""
        return self.engine.layout.machine(self._any().id) / "upper/tree" / path.lstrip("/")

    def sessions(self) -> list[int]:
        """The processes that serve ssh connections on the node."""
        found = Groups.mounted(self.engine.layout.group).processes(self.machine().id)
        return [
            pid
            for pid in found
            if _command(pid).startswith(("sshd: ", "sshd-session: "))
            and "listener" not in _command(pid)
        ]

    def cut_ssh(self) -> None:
        """End the processes that serve ssh connections."""
        eventually(lambda: bool(self.sessions()), "somebody is connected")
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def link(self, state: str) -> None:
        """Let the node's cable be "down" or "up"."""
        machine = self.machine()
        switch = self.engine.layout.switch(machine.network)
        port = ["ip", "link", "set", port_name(machine.address), state]
        subprocess.run(["nsenter", f"--net={switch}", *port], check=True)

    def remains(self) -> list[str]:
        """See `Testbed`: what the kernel and the disk still have, and what the engine lists."""
        ours = tuple(f"mount tmpfs {mounted} " for mounted in self._mounts)
        found = [*map(str, self.engine.machines()), *self._bench.remains()]
        return [what for what in found if not what.startswith(ours)]

    def _any(self) -> Machine:
        (machine,) = self.engine.machines()
        return machine


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
