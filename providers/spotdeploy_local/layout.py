"""Where the engine keeps things, all derived from one state folder so that two never collide."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATE_VARIABLE = "SPOTDEPLOY_LOCAL_STATE"
CACHE_VARIABLE = "SPOTDEPLOY_LOCAL_CACHE"

BEING_WRITTEN = ".part-"
BEING_REMOVED = ".gone-"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one engine."""

    state: Path
    """Survives a reboot of the host: one folder per machine."""
    cache: Path
    """The images; shared by all engines."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Layout:
        """The default places, or those that the two variables name. Those of a user are in the
        user's own folders, so that root's machines and a user's never meet."""
        state, cache = _of_root() if os.geteuid() == 0 else _of_user()
        return cls(
            Path(environment.get(STATE_VARIABLE) or state).absolute(),
            Path(environment.get(CACHE_VARIABLE) or cache).absolute(),
        )

    @property
    def key(self) -> str:
        """A short name that tells this engine's kernel objects from another's."""
        return f"{zlib.crc32(os.fsencode(self.state)):08x}"

    @property
    def machines(self) -> Path:
        return self.state / "machines"

    @property
    def claims(self) -> Path:
        return self.state / "claims"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def notices(self) -> Path:
        """Where container engines keep notices of interruptions, in a folder for each engine."""
        return self.state / "notices"

    @property
    def used(self) -> Path:
        """A file for each engine that machines were ever started with."""
        return self.state / "engines"

    def mark_used(self, engine: str) -> None:
        """Remember that this engine may have machines here."""
        self.used.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.used / engine).touch()

    @property
    def run(self) -> Path:
        """Does not survive a reboot of the host, as namespaces do not."""
        return Path("/run/spotdeploy") / self.key

    @property
    def group(self) -> str:
        """The control group that holds the machines' groups."""
        return f"spotdeploy-{self.key}"

    def machine(self, machine: str) -> Path:
        return self.machines / machine

    def being_written(self, machine: str) -> Path:
        """Where this process writes a machine's folder, before it gets its name."""
        return self.machines / f"{BEING_WRITTEN}{os.getpid()}-{machine}"

    def being_removed(self, machine: str) -> Path:
        """Where a machine's folder is moved when its end begins."""
        return self.machines / f"{BEING_REMOVED}{machine}"

    def switch(self, network: str) -> Path:
        """The file on which a network's namespace is mounted."""
        return self.run / f"{network}.net"

    def hold(self, network: str) -> Path:
        """The lock file that keeps a network without machines."""
        return self.run / f"{network}.hold"


def _of_root() -> tuple[str, str]:
    return "/var/lib/spotdeploy/local", "/var/cache/spotdeploy"


def _of_user() -> tuple[str, str]:
    import platformdirs  # root needs none

    state = platformdirs.user_state_path("spotdeploy") / "local"
    return str(state), str(platformdirs.user_cache_path("spotdeploy"))
