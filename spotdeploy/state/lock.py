"""One changing run at a time on a deployment, by one user with one state folder.

Runs of other users, homes and computers are kept apart by claims in the cloud itself, where the
provider has them; see `spotdeploy.phases.claim`.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import msgspec
import platformdirs

from spotdeploy.errors import RefusedError, cannot
from spotdeploy.state.folder import private_folder


class Holder(msgspec.Struct, frozen=True):
    """Who holds a lock."""

    pid: int
    host: str
    since: float
    """Unix time in seconds."""
    command: str


def home_id(folder: Path | None = None) -> str:
    """The id of the state folder that the locks are in, made at its first use: who holds the lock
    of a deployment there knows that no other run of this home is under way.

    Raises HostError when it cannot be written.
    """
    path = (folder or _locks()) / "home-id"
    try:
        private_folder(path.parent)
        with suppress(FileExistsError), path.open("x") as file:
            file.write(secrets.token_hex(4))
        return path.read_text().strip()
    except OSError as error:
        raise cannot(f"write {path}", error) from error


@contextmanager
def locked(deployment: str, command: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the deployment's lock. The operating system frees it when the process ends, however it
    ends, so a lock is never stale.

    Raises:
        RefusedError: another live process holds it; it is named.
        HostError: the lock cannot be written.
    """
    folder = folder or _locks()
    path = folder / f"{deployment}.lock"
    note = folder / f"{deployment}.json"
    try:
        private_folder(folder)
        lock = filelock.FileLock(path, timeout=0, mode=0o600)
        lock.acquire()
    except filelock.Timeout as error:
        raise RefusedError(
            f"{deployment} is in use by {_describe(note)}",
            hint="wait for it, or stop it with Ctrl-C in its terminal",
        ) from error
    except OSError as error:
        raise cannot(f"lock {path}", error) from error
    try:
        holder = Holder(os.getpid(), platform.node(), time.time(), command)
        note.write_bytes(msgspec.json.encode(holder))
        yield
    finally:
        lock.release()


def _locks() -> Path:
    return platformdirs.user_state_path("spotdeploy") / "locks"


def _describe(note: Path) -> str:
    try:
        holder = msgspec.json.decode(note.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return "another spotdeploy"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    return f"'spotdeploy {holder.command}' (pid {holder.pid} on {holder.host}, since {since})"
