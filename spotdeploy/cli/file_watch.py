"""Waiting until the config, the payload or a file that a check or a test reads changes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.config.schema import Settings
from spotdeploy.errors import SpotdeployError
from spotdeploy.payload.hashes import read_parts
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.phases.plan import read_checks
from spotdeploy.project import Project

DEBOUNCE_MS = 300
"""An editor's several steps of one save count as one change."""


@dataclass(frozen=True)
class _Sources:
    """What a cycle is made of, besides the config."""

    shipped: tuple[Path, ...]
    """The payload and the uploads of every group."""
    checks: tuple[Path, ...]
    """What checks read."""
    tests: tuple[Path, ...]
    """What must pass before reads besides."""
    settings: tuple[Settings, ...]
    """Of each group."""

    @property
    def all(self) -> tuple[Path, ...]:
        return (*self.shipped, *self.checks, *self.tests)


def fingerprint(config: Path) -> str:
    """What a cycle depends on, as one word: the config's text, the payload's digest and the files
    that checks and `before.files` name.

    A config or payload that is missing or wrong has a fingerprint too. Blocks while it reads.
    """
    whole = hashlib.sha256(config.read_bytes() if config.is_file() else b"")
    try:
        sources = _sources(config)
        for part in read_parts((*sources.checks, *sources.tests)):
            whole.update(b"\0" + part)
        digest = " ".join(read_manifest(one).digest for one in sources.settings)
    except (SpotdeployError, OSError) as error:
        digest = str(error)
    return hashlib.sha256(whole.digest() + digest.encode()).hexdigest()


async def until_changed(config: Path, since: str, ready: Callable[[], None] = lambda: None) -> str:
    """Return the new fingerprint once it differs from `since`. `ready` is called when watching
    has begun: what changes after it is seen, and what changed before as well."""
    stop = asyncio.Event()
    noise: asyncio.Queue[None] = asyncio.Queue()
    tasks = [
        asyncio.create_task(_listen(folder, recursive, noise, stop))
        for folder, recursive in _watched(config)
    ]
    try:
        ready()
        while (now := await asyncio.to_thread(fingerprint, config)) == since:
            await noise.get()
        return now
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(
    folder: Path, recursive: bool, noise: asyncio.Queue[None], stop: asyncio.Event
) -> None:
    import watchfiles

    changes = watchfiles.awatch(
        folder,
        recursive=recursive,
        stop_event=stop,
        debounce=DEBOUNCE_MS,
        rust_timeout=1000,
        yield_on_timeout=True,
    )
    async for _ in changes:
        noise.put_nowait(None)


def _watched(config: Path) -> list[tuple[Path, bool]]:
    """Folders that exist, each with whether what lies deeper counts. An editor may replace a
    file, so its folder is watched and not the file."""
    watched = {config.resolve().parent: False}
    try:
        sources = _sources(config).all
    except SpotdeployError:
        sources = ()
    for path in sources:
        if path.is_dir():
            watched[path.resolve()] = True
        elif path.parent.is_dir():
            watched.setdefault(path.resolve().parent, False)
    return list(watched.items())


def _sources(config: Path) -> _Sources:
    project = Project.open(config)
    groups = project.groups.values()
    payloads = [(group, group.config.payload) for group in groups]
    shipped = [group.resolve(path) for group, one in payloads for path in (one.path, *one.upload)]
    checks = [path for group in groups for check in read_checks(group) for path in check.files()]
    return _Sources(
        tuple(dict.fromkeys(shipped)),
        tuple(dict.fromkeys(checks)),
        tuple(map(project.resolve, project.config.before.files)),
        tuple(group.settings for group in groups),
    )
