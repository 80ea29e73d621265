"""Evidence: what is brought back from a node before it is destroyed."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.check import CommandResult
from spotdeploy.errors import ProviderError, UnreachableError
from spotdeploy.events import EvidenceKept
from spotdeploy.model import PAYLOAD, Node
from spotdeploy.node.diagnostics import Diagnostic, diagnostics_for
from spotdeploy.run.node_run import NodeRun
from spotdeploy.state.folder import private_folder, write_private
from spotdeploy.text import plain

LIMIT_SECONDS: Final = 60.0
DIAGNOSTIC_SECONDS: Final = 20.0
FILE_LIMIT: Final = 1 << 20
NODE_LIMIT: Final = 8 << 20
CONSOLE: Final = "console.txt"
LIST: Final = "evidence.list"
INDEX: Final = "index.json"
FILES_NAMED: Final = 50
"""How many further files config, checks and payload may name, all together."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Item(msgspec.Struct, frozen=True):
    """One piece of evidence, as `index.json` lists it."""

    file: str
    title: str
    bytes: int
    complete: bool
    """False when there may be more than what was brought back."""
    problem: str = ""


async def collect(
    node_run: NodeRun, folder: Path, limit: float = LIMIT_SECONDS, *, console: bool = True
) -> tuple[Item, ...]:
    """Bring back what the node can show, into a folder of its own under `folder`.

    Bounded to `limit` seconds, `FILE_LIMIT` bytes a file and `NODE_LIMIT` bytes in all; secrets
    are taken out. A node that cannot be reached shows its console, where the provider has it and
    `console` is true: asking for it would keep other calls to the cloud waiting.
    Raises nothing: what could not be had is said in `index.json`, and the verdict stands.
    """
    name = folder_name(node_run.node)
    collector = _EvidenceCollector(node_run, folder / name, limit, console)
    problem = ""
    try:
        await collector.fill()
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not mask the verdict
        problem = plain(f"{type(error).__name__}: {error}", limit=300)
    node_run.bus.emit(
        EvidenceKept(
            node=node_run.node.id,
            folder=f"{folder.name}/{name}",
            files=len(collector.items),
            problem=problem,
        )
    )
    return tuple(collector.items)


def folder_name(node: Node) -> str:
    """A folder name for a node: readable, safe in any path, and no other node's."""
    key = "\0".join((node.provider, node.location, node.id))
    readable = _UNSAFE.sub("-", f"{node.provider}-{node.name}").strip("-.")[:80]
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def diagnostics(node_run: NodeRun) -> tuple[Diagnostic, ...]:
    """Everything that is asked of a node: the fixed diagnostics, the journal of each unit of the
    payload, and the files that config, checks and payload name."""
    units = [
        Path(entry.path).name
        for entry in node_run.plan.manifest.entries
        if entry.path.startswith(f"{PAYLOAD}/") and entry.path.endswith(".service")
    ]
    return diagnostics_for(units, files_named(node_run))


def files_named(node_run: NodeRun) -> tuple[str, ...]:
    """Absolute paths on the node, each once: `evidence.files` of the config, what each check
    names, and the lines of the payload's `evidence.list`."""
    config = node_run.config
    listed = node_run.run.project.resolve(config.payload.path) / LIST
    lines = listed.read_text("utf-8", "replace").splitlines() if listed.is_file() else []
    named = [
        *config.evidence.files,
        *(path for check in node_run.plan.checks for path in check.evidence()),
        *(line.strip() for line in lines if not line.lstrip().startswith("#")),
    ]
    return tuple(dict.fromkeys(path for path in named if path.startswith("/")))[:FILES_NAMED]


@dataclass
class _EvidenceCollector:
    """The evidence of one node, while it is filled."""

    node_run: NodeRun
    folder: Path
    limit: float
    console: bool
    items: list[Item] = field(default_factory=list)
    _room: int = NODE_LIMIT

    async def fill(self) -> None:
        private_folder(self.folder)
        asked = diagnostics(self.node_run)
        try:
            async with asyncio.timeout(self.limit):
                await self._ask(asked)
        except TimeoutError:
            there = {item.file for item in self.items}
            late = f"it did not come within {self.limit:.0f}s"
            self.items += [
                _missing(diagnostic, late) for diagnostic in asked if diagnostic.file not in there
            ]
        order = {diagnostic.file: index for index, diagnostic in enumerate(asked)}
        self.items.sort(key=lambda item: order.get(item.file, -1))
        index = msgspec.json.format(msgspec.json.encode(self.items))
        write_private(self.folder / INDEX, index + b"\n")

    async def _ask(self, asked: tuple[Diagnostic, ...]) -> None:
        if await _reached(self.node_run):
            await asyncio.gather(*(self._diagnose(diagnostic) for diagnostic in asked))
        if self.console and not any(item.bytes for item in self.items):
            await self._console()

    async def _diagnose(self, diagnostic: Diagnostic) -> None:
        try:
            result = await self.node_run.connection.run(
                diagnostic.command, timeout=DIAGNOSTIC_SECONDS
            )
        except UnreachableError as error:
            self.items.append(_missing(diagnostic, error.message))
        else:
            self._keep(diagnostic, result)

    async def _console(self) -> None:
        diagnostic = Diagnostic(CONSOLE, "console", ())
        try:
            text = await self.node_run.location.console(self.node_run.node)
        except ProviderError as error:
            self.items.append(_missing(diagnostic, error.message))
        else:
            self._keep(diagnostic, CommandResult(0, text[-FILE_LIMIT:], ""))

    def _keep(self, diagnostic: Diagnostic, result: CommandResult) -> None:
        limit = min(FILE_LIMIT, self._room)
        text = plain(result.stdout, limit=limit)
        problem = plain(result.stderr, limit=500) if result.exit_code else ""
        data = (text or problem).encode()[:limit]
        self._room -= len(data)
        write_private(self.folder / diagnostic.file, data)
        full = diagnostic.most is not None and result.stdout.count("\n") >= diagnostic.most
        complete = not (full or problem or result.truncated or len(result.stdout) >= limit)
        self.items.append(Item(diagnostic.file, diagnostic.title, len(data), complete, problem))


async def _reached(node_run: NodeRun) -> bool:
    try:
        await node_run.sign_of_life()
    except UnreachableError:
        return False
    return True


def _missing(diagnostic: Diagnostic, why: str) -> Item:
    return Item(diagnostic.file, diagnostic.title, 0, complete=False, problem=plain(why, limit=500))
