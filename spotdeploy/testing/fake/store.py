"""Where a fake cloud keeps its state: in memory, or in a file that processes share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import filelock
import msgspec

from spotdeploy.errors import ConfigError
from spotdeploy.testing.fake.machine import CloudState


class Store(Protocol):
    """Gives the state to one caller at a time."""

    def transaction(self) -> AbstractContextManager[CloudState]:
        """The state, to read and change. Changes are kept unless the block raises."""


class MemoryStore:
    """For one process."""

    def __init__(self) -> None:
        self._state = CloudState()
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[CloudState]:
        """As in the protocol, except that nothing is undone when the block raises."""
        with self._lock:
            yield self._state


class FileStore:
    """For any number of processes. A killed process leaves the file whole and unlocked."""

    def __init__(self, path: Path) -> None:
        """`path` is a JSON file, made when it is first needed."""
        self._path = path
        self._lock = filelock.FileLock(f"{path}.lock")

    @contextmanager
    def transaction(self) -> Iterator[CloudState]:
        """As in the protocol. Raises ConfigError when the file is not a fake cloud's state."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            state = self._read()
            yield state
            part = self._path.with_name(f"{self._path.name}.part")
            part.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
            part.replace(self._path)

    def _read(self) -> CloudState:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=CloudState)
        except FileNotFoundError:
            return CloudState()
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{self._path}: not the state of a fake cloud: {error}", hint="remove the file"
            ) from error
