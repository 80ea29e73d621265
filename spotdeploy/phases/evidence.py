"""Evidence: what is brought back from a node before it is destroyed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.check import CommandResult
from spotdeploy.errors import ProviderError, UnreachableError
from spotdeploy.events import Note
from spotdeploy.inspection import LOOKS, Look
from spotdeploy.noderun import NodeRun
from spotdeploy.text import plain

LIMIT_SECONDS: Final = 60.0
FILE_LIMIT: Final = 1 << 20
CONSOLE: Final = "console.txt"


class Item(msgspec.Struct, frozen=True):
    """One piece of evidence, as `index.json` lists it."""

    file: str
    title: str
    bytes: int
    complete: bool
    problem: str = ""


async def collect(run: NodeRun, folder: Path) -> tuple[Item, ...]:
    """Bring back what the node can show, into `folder`, with an `index.json`.

    Bounded to `LIMIT_SECONDS` and `FILE_LIMIT` bytes a file. Never raises for a node that cannot
    be reached: then the console's text is kept, where the provider has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            if run.connection.connected or await _reached(run):
                items += await asyncio.gather(*(_look(run, folder, look) for look in looks(run)))
            else:
                items.append(await _console(run, folder))
    except TimeoutError:
        run.session.bus.emit(
            Note(text="collecting evidence took too long", node=run.node.id, warning=True)
        )
    (folder / "index.json").write_bytes(msgspec.json.format(msgspec.json.encode(items)))
    return tuple(items)


def looks(run: NodeRun) -> tuple[Look, ...]:
    """The fixed looks and one for each file the config names."""
    files = run.session.settings.config.evidence.files
    return (
        *LOOKS,
        *(
            Look(f"files{path.replace('/', '_')}", path, ("tail", "-c", str(FILE_LIMIT), path))
            for path in files
        ),
    )


async def _reached(run: NodeRun) -> bool:
    try:
        await run.connection.connect(10.0)
    except UnreachableError:
        return False
    return True


async def _look(run: NodeRun, folder: Path, look: Look) -> Item:
    try:
        result = await run.connection.run(look.command, timeout=20.0)
    except UnreachableError as error:
        return Item(look.file, look.title, 0, complete=False, problem=error.message)
    return _keep(folder, look.file, look.title, result)


async def _console(run: NodeRun, folder: Path) -> Item:
    try:
        text = await run.location.console(run.node)
    except ProviderError as error:
        return Item(CONSOLE, "console", 0, complete=False, problem=error.message)
    return _keep(folder, CONSOLE, "console", CommandResult(0, text, ""))


def _keep(folder: Path, file: str, title: str, result: CommandResult) -> Item:
    text = plain(result.stdout, limit=FILE_LIMIT)
    problem = plain(result.stderr, limit=500) if result.exit_code else ""
    data = (text or problem).encode()
    (folder / file).write_bytes(data)
    return Item(file, title, len(data), complete=not result.truncated, problem=problem)
