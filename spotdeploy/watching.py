"""Waiting until the config or the payload changes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from spotdeploy import digests, payload
from spotdeploy.config import Settings
from spotdeploy.config_load import load
from spotdeploy.digests import Digests
from spotdeploy.errors import SpotdeployError

DEBOUNCE_MS = 300
"""An editor's several steps of one save count as one change."""


def fingerprint(config: Path) -> str:
    """What a cycle depends on, as one word: the config's text and the payload's digest.

    A config or payload that is missing or wrong has a fingerprint too. Blocks while it reads.
    """
    text = config.read_bytes() if config.is_file() else b""
    try:
        settings = load(config)
        kept = Digests(settings.state / digests.FILE)
        digest = payload.build(*_sources(settings), digests=kept).digest
    except (SpotdeployError, OSError) as error:
        digest = str(error)
    return hashlib.sha256(text + b"\0" + digest.encode()).hexdigest()


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
        folder, recursive=recursive, stop_event=stop, debounce=DEBOUNCE_MS, rust_timeout=1000,
        yield_on_timeout=True,
    )  # fmt: skip
    async for _ in changes:
        noise.put_nowait(None)


def _watched(config: Path) -> list[tuple[Path, bool]]:
    """Folders that exist, each with whether what lies deeper counts. An editor may replace a
    file, so its folder is watched and not the file."""
    watched = {config.resolve().parent: False}
    try:
        root, uploads = _sources(load(config))
    except SpotdeployError:
        root, uploads = config, []
    for path in (root, *uploads):
        if path.is_dir():
            watched[path.resolve()] = True
        elif path.parent.is_dir():
            watched.setdefault(path.resolve().parent, False)
    return list(watched.items())


def _sources(settings: Settings) -> tuple[Path, list[Path]]:
    wanted = settings.config.payload
    return settings.resolve(wanted.path), [settings.resolve(path) for path in wanted.upload]
