"""A bench with real machines of any engine, and a key that they let in."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from msgspec.structs import replace

from spotdeploy.ports import PortRange
from spotdeploy_local.engine import Engine, Machine, MachineSpec

PATIENCE = 30.0
_PROBE = """
import socket, sys
probe = socket.socket(socket.AF_INET, socket.{kind})
probe.settimeout(0.4)
try:
    probe.connect({to!r})
    if probe.type == socket.SOCK_DGRAM:
        probe.send(b"?")
        probe.recv(1)
except ConnectionRefusedError:
    pass
except OSError:
    sys.exit(1)
"""
_PING = """
import socket, sys
echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
echo.settimeout(0.4)
try:
    echo.sendto(bytes.fromhex("0800f7fd00010001"), ({to!r}, 0))
    while echo.recv(64)[20] != 0:
        pass  # an answer to others, or a complaint
except OSError:
    sys.exit(1)
"""
OPTIONS = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "BatchMode=yes",
)

E = TypeVar("E", bound=Engine)


@dataclass(frozen=True)
class MachineBench(Generic[E]):
    """An engine of its own, and a key that its machines let in."""

    engine: E
    key: Path
    network: str = "bench"

    def spec(self, name: str, script: str = "true", **more: object) -> MachineSpec:
        """A machine whose boot hook lets root in and then runs a script."""
        hook = (
            "#cloud-boothook\n#!/bin/sh\nset -eu\nmkdir -p /root/.ssh /var/log/journal\n"
            f"echo {shlex.quote(self.key.with_suffix('.pub').read_text().strip())}"
            f" > /root/.ssh/authorized_keys\n{script}\n"
        )
        spec = MachineSpec(id=name, name=name, network=self.network, user_data=hook.encode())
        return replace(spec, **more)

    def start(self, *specs: MachineSpec) -> list[Machine]:
        """Start machines and wait until ssh answers on each."""
        started = self.engine.start_all(specs)
        assert not started.failures, started.failures
        for machine in started.machines:
            self.await_ssh(machine.id)
        return list(started.machines)

    def await_ssh(self, machine: str) -> None:
        eventually(lambda: self.greeting(machine).startswith(b"SSH-2.0"))

    def greeting(self, machine: str, port: int = 22) -> bytes:
        """The first bytes a machine's port sends, or none."""
        try:
            with self.engine.dial(machine, port, timeout=1.0) as connection:
                connection.settimeout(1.0)
                return connection.recv(32)
        except OSError:
            return b""

    def run(self, machine: str, command: str) -> str:
        """What a command prints on a machine, over OpenSSH and the engine's ProxyCommand."""
        done = self.ssh(machine, command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def ssh(self, machine: str, command: str) -> subprocess.CompletedProcess[str]:
        proxy = f"ProxyCommand={shlex.join(self.engine.proxy_command(machine, 22))}"
        options = [part for option in (*OPTIONS, proxy) for part in ("-o", option)]
        return subprocess.run(
            ["ssh", "-i", str(self.key), *options, "root@machine", command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def machine(self, machine: str) -> Machine:
        return next(one for one in self.engine.machines() if one.id == machine)

    def reaches(
        self, source: str, target: str, port: PortRange, address: str | None = None
    ) -> bool:
        """Whether what a machine sends to a port of another one, a range of one, arrives: it is
        answered then, if only by a refusal."""
        kind = "SOCK_DGRAM" if port.protocol == "udp" else "SOCK_STREAM"
        to = address or self.machine(target).address
        code = _PROBE.format(kind=kind, to=(to, port.first))
        return self._in_machine(source, sys.executable, "-I", "-S", "-c", code)

    def pings(self, source: str, target: str) -> bool:
        """Whether a machine gets an answer to an echo request."""
        return self._in_machine(
            source, sys.executable, "-I", "-S", "-c", _PING.format(to=self.machine(target).address)
        )

    def _in_machine(self, machine: str, *command: str) -> bool:
        """Whether a program of the host succeeds in the machine's network, which without root is
        entered through the user namespace that it belongs to."""
        names = ("net",) if os.geteuid() == 0 else ("user", "net")
        pid = self.machine(machine).pid
        enter = ["nsenter", "--preserve-credentials"]
        enter += [f"--{name}=/proc/{pid}/ns/{name}" for name in names]
        return subprocess.run([*enter, *command], check=False).returncode == 0


def connect(address: str, port: int) -> Sequence[str]:
    """A command that prints the first bytes of a port."""
    code = (
        f"import socket; s = socket.create_connection(({address!r}, {port}), 5);"
        " print(s.recv(64).decode().strip())"
    )
    return ("python3", "-c", code)


def eventually(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something real becomes true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def processes() -> list[str]:
    """Pid and command line of every process that is not a zombie."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder.name != str(os.getpid()):
            found.append(f"{folder.name} {command}")
    return found
