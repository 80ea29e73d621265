"""What keeps a payload on its machine: a user namespace where this host allows one, otherwise few
capabilities."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from spotdeploy.model import Problem
from spotdeploy_local.engines.nspawn.launch import small_python
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux import users
from spotdeploy_local.linux.host import existing

_TRIAL_SECONDS = 60.0
DROPPED: Final = tuple(
    f"CAP_{name}"
    for name in (
        *("AUDIT_CONTROL", "DAC_READ_SEARCH", "LEASE", "LINUX_IMMUTABLE", "MKNOD"),
        *("NET_BROADCAST", "SYS_ADMIN", "SYS_TTY_CONFIG"),
    )
)
"""What a machine lacks without a user namespace, of what systemd-nspawn gives. What stays are a
container manager's usual ones (https://docs.docker.com/engine/containers/run/), for systemd, sshd,
packages and daemons; NET_ADMIN and SYS_BOOT, which reach no further than the machine's own network
and pid namespace; SYS_NICE and SYS_RESOURCE, for units with Nice= or LimitNOFILE=; SYS_PTRACE and
IPC_OWNER, for what is in the machine."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """How machines are confined here."""

    refusal: str = ""
    """Why there is no user namespace; empty when there is one."""

    def first_user(self, machine: str) -> int:
        """The host's user that the machine's root is; 0 without a user namespace."""
        return 0 if self.refusal else users.first_user(machine)

    @property
    def options(self) -> tuple[str, ...]:
        """Options of systemd-nspawn. Without CAP_SYS_ADMIN, systemd must find all its mounts."""
        if not self.refusal:
            return ()
        return (f"--drop-capability={','.join(DROPPED)}", "--tmpfs=/run/lock:mode=1777,size=5m")

    @property
    def problems(self) -> list[Problem]:
        """A warning, when all there is are capabilities."""
        if not self.refusal:
            return []
        what = (
            "nodes are kept apart from this computer by dropped capabilities alone: "
            f"no user namespace can be had ({self.refusal})"
        )
        remedy = "run payloads that you trust; docs/providers/local.md says what they can do"
        return [Problem(what, remedy, fatal=False)]


def confinement(layout: Layout) -> Confinement:
    """How machines of this layout are confined, found out by trying. Changes nothing."""
    return Confinement(try_user_namespace(existing(layout.cache), existing(layout.state)))


@cache
def try_user_namespace(image: Path, state: Path) -> str:
    """What fails when a machine in a user namespace, with a disk in these folders, is tried; once
    in a process, since it takes some 50 ms."""
    command = small_python("spotdeploy_local.engines.nspawn.trial", str(image), str(state))
    tried = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=_TRIAL_SECONDS
    )
    return tried.stdout
