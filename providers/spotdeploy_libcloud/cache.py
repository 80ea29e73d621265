"""Answers of the cloud that may be kept for a while, on disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

DAY: Final = 86400.0


class Cache:
    """JSON values by name, each forgotten after `lifetime` seconds.

    Safe to share between processes: a value is written whole or not at all. A folder that cannot
    be written costs speed, nothing else.
    """

    def __init__(
        self, folder: Path, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        """`folder` is made when the first value is kept."""
        self._folder = folder
        self._lifetime = lifetime
        self._clock = clock

    def get(self, name: str) -> dict[str, str] | None:
        """The value, or None when it is missing, too old or unreadable."""
        try:
            kept = json.loads(self._path(name).read_text(encoding="utf-8"))
            fresh = 0 <= self._clock() - kept["at"] < self._lifetime
            return dict(kept["value"]) if fresh and kept["name"] == name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, name: str, value: dict[str, str]) -> None:
        """Keep a value."""
        path = self._path(name)
        part = path.with_suffix(f".{os.getpid()}.part")
        kept = {"name": name, "at": self._clock(), "value": value}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(kept), encoding="utf-8")
            part.replace(path)
        except OSError:
            return

    def remember(self, name: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
        """The value, made and kept when there is none."""
        value = self.get(name)
        if value is None:
            value = make()
            self.put(name, value)
        return value

    def forget(self, name: str) -> None:
        """Drop a value; a missing one is success."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def user_cache(kind: str, lifetime: float) -> Cache:
    """A cache in the user's cache folder. `lifetime` is in seconds."""
    from platformdirs import user_cache_path

    return Cache(user_cache_path("spotdeploy") / kind, lifetime)
