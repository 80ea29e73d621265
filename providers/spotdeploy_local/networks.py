"""The networks of one engine: made when first needed, gone with their last machine or holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from spotdeploy_local import network
from spotdeploy_local.layout import Layout


@dataclass(frozen=True, slots=True)
class Networks:
    """Callers hold the engine's lock, but for `names`."""

    layout: Layout
    held: dict[str, int]
    """Networks that this process holds, with the descriptor that does it."""

    def ensure(self, name: str) -> Path:
        """Make the network if it is not there; gives the file its namespace is mounted on."""
        file = self.layout.switch(name)
        network.create_switch(file)
        return file

    def hold(self, name: str) -> Path:
        """Make it, and keep it until `drop` or until this process ends."""
        file = self.ensure(name)
        if name not in self.held:
            fd = os.open(self.layout.hold(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_SH)
            self.held[name] = fd
        return file

    def drop(self, name: str) -> None:
        """Undo `hold`; repeated is success."""
        fd = self.held.pop(name, None)
        if fd is not None:
            os.close(fd)

    def names(self) -> list[str]:
        """Every network that has a file."""
        return sorted(file.stem for file in self.layout.run.glob("*.net"))

    def idle(self, used: Collection[str]) -> list[str]:
        """The networks that nobody uses or holds."""
        return [name for name in self.names() if name not in used and not self._is_held(name)]

    def remove(self, name: str) -> None:
        """Remove it; a missing one is success."""
        network.remove_switch(self.layout.switch(name))
        self.layout.hold(name).unlink(missing_ok=True)
        if self.layout.run.is_dir() and not any(self.layout.run.iterdir()):
            self.layout.run.rmdir()

    def _is_held(self, name: str) -> bool:
        try:
            fd = os.open(self.layout.hold(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False
