"""One control group per machine in every mounted hierarchy, version 1, hybrid or version 2.

Without groups of their own, two containers would share systemd-nspawn's `/payload`. On version 2
a group with controllers may hold no process of its own, so there the supervisor and the container
each get a leaf. Tested on the hybrid layout (version 1 controllers, an empty version 2 tree) and on
a version 2 tree without controllers, under systemd.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONTROLLERS = ("cpu", "memory", "pids", "io")
_DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup tree."""

    root: Path
    unified: bool
    """True for version 2."""
    controls: bool = True
    """False for systemd's own tree of version 1, which has no controller."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one engine: `<root>/<base>/<machine>` in each hierarchy."""

    base: str
    hierarchies: tuple[Hierarchy, ...]

    @classmethod
    def mounted(cls, base: str) -> Groups:
        """In the hierarchies that are mounted here."""
        return cls(base, hierarchies(Path("/proc/self/mountinfo").read_text()))

    def create(self, machine: str, owner: int) -> None:
        """Make the machine's groups; those that exist stay. The host's user that the machine's
        root is may make groups below its own where that is safe: on version 1, whoever may write
        to a group of a controller decides about the host's resources. Raises OSError."""
        for tree in self.hierarchies:
            parent = tree.root / self.base
            _make(parent / machine)
            for group in (parent, parent / machine):
                group.chmod(0o755)  # whatever the umask was: the owner has to get there
            if tree.unified:
                _delegate([tree.root, parent, parent / machine])
                for leaf in ("engine", "node"):
                    (parent / machine / leaf).mkdir(exist_ok=True)
                # systemd-nspawn asks the group of its process 1, the supervisor, for controllers
                (parent / machine / "engine").chmod(0o755)
                _give(parent / machine / leaf, owner)
            elif not tree.controls:
                _give(parent / machine, owner)
            elif (parent / "cpuset.cpus").exists():
                _inherit_cpuset(tree.root, parent)
                _inherit_cpuset(parent, parent / machine)

    def procs_files(self, machine: str, leaf: str) -> list[str]:
        """The `cgroup.procs` files that put a process into the machine's groups.

        `leaf` is `engine` for the supervisor and `node` for the container.
        """
        return [
            str(group / (leaf if tree.unified else "") / "cgroup.procs")
            for tree, group in zip(self.hierarchies, self.paths(machine), strict=True)
        ]

    def paths(self, machine: str) -> list[Path]:
        """The machine's group in each hierarchy."""
        return [tree.root / self.base / machine for tree in self.hierarchies]

    def machines(self) -> set[str]:
        """The machines that have a group in any hierarchy."""
        return {
            group.name for tree in self.hierarchies for group in _children(tree.root / self.base)
        }

    def processes(self, machine: str) -> set[int]:
        """The processes in the machine's groups, as pids of this pid namespace.

        Every process is in each hierarchy, and none can leave its machine's, so one is enough.
        """
        for group in self.paths(machine):
            if group.exists():
                return {
                    int(pid)
                    for part in _deepest_first(group)
                    for pid in _read(part / "cgroup.procs").split()
                }
        return set()

    def remove(self, machines: Sequence[str], within: float = 10.0) -> list[str]:
        """Kill every process in the machines' groups, remove the groups, and the base with the
        last of them. Gives the machines that would not end within that many seconds.

        The kernel refuses while a dying task is still counted, so this repeats. Missing groups
        are success.
        """
        deadline = time.monotonic() + within
        for machine in machines:
            self._kill(machine)
        stuck = [machine for machine in machines if not self._remove_groups(machine, deadline)]
        for tree in self.hierarchies:
            with contextlib.suppress(OSError):  # it holds other machines' groups, or is not there
                (tree.root / self.base).rmdir()
        return stuck

    def _kill(self, machine: str) -> None:
        for pid in self.processes(machine):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _remove_groups(self, machine: str, deadline: float) -> bool:
        for group in self.paths(machine):
            while not _removed(group):
                if time.monotonic() > deadline:
                    return False
                self._kill(machine)
                time.sleep(0.01)
        return True


def hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """The cgroup trees in the text of `/proc/self/mountinfo`, each once."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split(" ", 1)[0]
        if kind in {"cgroup", "cgroup2"}:
            fields = before.split(" ")
            unified, controls = kind == "cgroup2", not after.endswith("name=systemd")
            found.setdefault(fields[2], Hierarchy(Path(fields[4]), unified, controls))
    return tuple(found.values())


def _make(group: Path) -> None:
    """Make a group and its parent, which another process may remove as long as it is empty."""
    while not group.is_dir():
        group.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            group.mkdir(exist_ok=True)


def _delegate(groups: Sequence[Path]) -> None:
    for group in groups:
        available = _read(group / "cgroup.controllers").split()
        controllers = " ".join(f"+{name}" for name in _CONTROLLERS if name in available)
        with contextlib.suppress(OSError):  # a busy group gives no controllers: none are needed
            (group / "cgroup.subtree_control").write_text(controllers)


def _give(group: Path, owner: int) -> None:
    """Let a user make groups below this one: https://systemd.io/CGROUP_DELEGATION/."""
    for path in (group, *(group / name for name in _DELEGATED)):
        if path.exists():
            os.chown(path, owner, owner)
    group.chmod(0o755)


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """A new version 1 cpuset is empty and takes no task until it is filled."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (child / name).read_text().strip():
            (child / name).write_text((parent / name).read_text())


def _removed(top: Path) -> bool:
    """Try to remove a tree of groups; False when the kernel still counts a task in it."""
    try:
        for group in _deepest_first(top):
            group.rmdir()
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _deepest_first(top: Path) -> Iterator[Path]:
    for child in _children(top):
        yield from _deepest_first(child)
    if top.is_dir():
        yield top


def _children(group: Path) -> list[Path]:
    try:
        with os.scandir(group) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it went meanwhile
        return ""
