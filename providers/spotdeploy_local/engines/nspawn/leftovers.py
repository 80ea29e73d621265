"""What crashes leave behind that no listed machine owns: found from reality, then removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spotdeploy_local.engine import Leftover, Machine
from spotdeploy_local.layout import BEING_REMOVED, BEING_WRITTEN, Layout
from spotdeploy_local.linux.cgroups import Groups
from spotdeploy_local.machine_dir import read, write
from spotdeploy_local.network.networks import Networks


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Callers hold the engine's lock."""

    layout: Layout
    groups: Groups
    networks: Networks

    def find(self, existing: Sequence[Machine]) -> list[Leftover]:
        """Folders, control groups and networks without a machine."""
        ids = {machine.id for machine in existing}
        return [
            *(Leftover("folder", f.name, read.labels(f)) for f in self._folders(ids)),
            *(Leftover("cgroup", name) for name in sorted(self.groups.machines() - ids)),
            *(
                Leftover("network", name)
                for name in self.networks.idle({machine.network for machine in existing})
            ),
        ]

    def release(self, leftovers: Sequence[Leftover]) -> None:
        """Remove these."""
        for leftover in leftovers:
            if leftover.kind == "folder":
                write.remove(self.layout.machines / leftover.id)
            elif leftover.kind == "cgroup":
                self.groups.remove([leftover.id])
            else:
                self.networks.remove(leftover.id)

    def manual_delete_command(self, kind: str, thing: str) -> str:
        """The shell command that does the same; `kind` may also be `machine`."""
        if kind == "network":
            file = self.layout.switch(thing)
            return f"umount {file}; rm -f {file} {self.layout.hold(thing)}; {_rmdir(file.parent)}"
        folder = self.layout.machines / thing
        if kind == "folder":
            return f"rm -r {folder}"
        groups = self.groups.paths(thing)
        paths = " ".join(map(str, groups))
        kill = f"find {paths} -name cgroup.procs -exec cat {{}} + | xargs -r kill -9"
        remove = f"sleep 1; find {paths} -depth -type d -delete"
        return f"{kill}; {remove}; {_rmdir(*(g.parent for g in groups))}; rm -rf {folder}"

    def _folders(self, ids: set[str]) -> list[Path]:
        """Half-written folders of dead processes, and what an interrupted destroy left."""
        if not self.layout.machines.is_dir():
            return []
        return [
            folder
            for folder in sorted(self.layout.machines.iterdir())
            if folder.name.removeprefix(BEING_REMOVED) not in ids
            and not _is_being_written(folder.name)
        ]


def _rmdir(*folders: Path) -> str:
    return f"rmdir --ignore-fail-on-non-empty {' '.join(map(str, folders))}"


def _is_being_written(name: str) -> bool:
    """True for the folder of `Layout.being_written` while its process lives."""
    pid = name.removeprefix(BEING_WRITTEN).partition("-")[0]
    return name.startswith(BEING_WRITTEN) and Path("/proc", pid).exists()
