"""`spotdeploy logs`."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Final, TextIO

import typer

from spotdeploy.cli.chosen import Chosen
from spotdeploy.cli.options import (
    DEFAULT_CONFIG,
    Config,
    Deployment,
    Json,
    NodeNames,
    Only,
    Providers,
)
from spotdeploy.cli.streams import printed_json
from spotdeploy.duration import Duration
from spotdeploy.errors import ConfigError, ProviderError, RefusedError
from spotdeploy.labels import group_of
from spotdeploy.model import Node, Verdict
from spotdeploy.node.logs import DeploymentLog, Line, Log, Reader, UnitLog
from spotdeploy.project import Project
from spotdeploy.provider import SupportsConsole
from spotdeploy.report.github import quoting
from spotdeploy.text import plain

LINES: Final = 200
LONGEST: Final = 20_000
"""Characters of one line that are shown."""
AT_ONCE: Final = 64
"""Nodes that are read at the same time, without -f."""
LISTING: Final = 10.0
"""Seconds between two listings of the nodes, with -f..."""
WAITING: Final = 2.0
"""...and while there are none."""
MISSED: Final = 2
"""Listings in a row that lack a node before it counts as gone."""
READER: Final = 1.0
"""Seconds between two looks whether anybody still reads what we write."""


def command(
    nodes: NodeNames = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    unit: Annotated[
        str | None,
        typer.Option("--unit", "-u", help="The journal of this unit, instead of deployment.log."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Of a unit, only what is not older, such as 5m."),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=100_000, help="Of each node, at most.")
    ] = LINES,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """Show the logs of nodes; changes nothing on them.

    That is the last lines of what the payload's entry wrote, or of a unit's journal; of a node
    whose ssh does not answer yet, what its console shows. The nodes can still pass verify, and a
    run may be at work on them. With -f, reboots are waited for, and nodes that a run makes are
    taken in.
    """
    new_log = _log(unit, since, lines)
    chosen = Chosen(
        Project.open(config, deployment=deployment, providers=provider), only, nodes or ()
    )
    sheet = _Sheet(sys.stdout, prefixed=not chosen.one, as_json=json)
    watch = _Watch(chosen, new_log, sheet, lines)
    try:
        with quoting(sys.stdout, {} if json else os.environ):
            code = asyncio.run(watch.follow() if follow else watch.read())
    finally:
        chosen.close()
    raise typer.Exit(code)


def _log(unit: str | None, since: str | None, lines: int) -> Callable[[], Log]:
    """What makes the log of each node. Raises ConfigError for what no log is."""
    if unit is None:
        if since is not None:
            raise ConfigError(
                "--since is about a unit's journal: the lines of deployment.log have no time",
                hint="name the unit with --unit, or say how many lines with --lines",
            )
        return partial(DeploymentLog, lines)
    if not unit.strip() or not unit.isprintable() or unit.startswith("-") or "/" in unit:
        raise ConfigError(
            f"--unit: {plain(unit, limit=100)!r} is not the name of a systemd unit",
            hint="write it like ssh.service; 'spotdeploy debug' shows those that failed",
        )
    try:
        seconds = None if since is None else Duration(since)
    except ValueError as error:
        raise ConfigError(f"--since: {error}") from error
    return partial(UnitLog, unit, lines, seconds)


class _Sheet:
    """Where the lines go: each behind its node's name, or as a line of JSON."""

    def __init__(self, stream: TextIO, *, prefixed: bool, as_json: bool) -> None:
        self._stream = stream
        self._prefixed = prefixed
        self._json = as_json
        self._width = 0
        self.unread = asyncio.Event()
        """Set once nobody reads what is written."""

    def expect(self, nodes: Sequence[Node]) -> None:
        """Leave room for the names of these nodes."""
        self._width = max([self._width, *(len(node.name) for node in nodes)])

    def show(self, node: Node, line: Line) -> None:
        """Write a line of a node's log."""
        for text in plain(line.text, limit=LONGEST).split("\n"):
            if self._json:
                self._write(printed_json(_encoded(node, line.at, text), self._stream))
            else:
                before = f"{node.name.ljust(self._width)} | " if self._prefixed else ""
                self._write(f"{before}{text}")

    def tell(self, node: Node, text: str) -> None:
        """Write what is no line of the log, beside it."""
        sys.stderr.write(f"{node.name}: {plain(text, limit=600)}\n")
        sys.stderr.flush()

    def look(self) -> None:
        """Find out whether anybody still reads."""
        try:
            poll = select.poll()
            poll.register(self._stream.fileno(), 0)  # an end of a pipe without a reader is an error
            gone = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
        except (OSError, ValueError, AttributeError):  # no descriptor, or a system without poll
            return
        if gone:
            self.unread.set()

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _encoded(node: Node, at: float | None, text: str) -> str:
    import msgspec

    data = {"node": node.name, "group": group_of(node.labels), "at": at, "line": text}
    return msgspec.json.encode(data).decode()


class _Watch:
    """The readers of the nodes that were asked for."""

    def __init__(
        self, chosen: Chosen, new_log: Callable[[], Log], sheet: _Sheet, lines: int
    ) -> None:
        self._chosen = chosen
        self._new_log = new_log
        self._sheet = sheet
        self._lines = lines
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._missed: dict[str, int] = {}

    async def read(self) -> int:
        """Read each log once. Gives the exit code: 3 when a node could not be asked."""
        nodes = await self._chosen.nodes()
        if not nodes:
            raise RefusedError(f"{self._chosen.what} has no nodes", hint="spotdeploy create")
        self._prepare(nodes)
        turns = asyncio.Semaphore(AT_ONCE)
        readers = [self._reader(node) for node in nodes]

        async def read(reader: Reader) -> bool:
            async with turns:
                return await reader.read()

        answered = await asyncio.gather(*map(read, readers))
        if len(readers) == sum(bool(reader.unknown) for reader in readers):
            return RefusedError.exit_code  # no node has such a unit
        return (Verdict.PASSED if all(answered) else Verdict.INFRASTRUCTURE_FAILED).exit_code

    async def follow(self) -> int:
        """Read them until nobody reads us, or every node that was named is gone."""
        looking = asyncio.create_task(self._look_for_readers())
        listing = asyncio.create_task(self._keep_list())
        unread = asyncio.create_task(self._sheet.unread.wait())
        helpers = (looking, listing, unread)
        try:
            done, _ = await asyncio.wait({listing, unread}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = [*helpers, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Verdict.PASSED.exit_code

    async def _keep_list(self) -> None:
        """Take in the nodes that come, and let go of those that are gone."""
        first = True
        while True:
            try:
                nodes = await self._chosen.nodes()
            except ProviderError:
                if first:
                    raise
                nodes = None
            except RefusedError:  # what was named is there no more, or not yet again
                if first:
                    raise
                nodes = []
            if nodes is not None:
                self._compare(nodes, first=first)
            if not self._tasks and self._chosen.by_name:
                return
            first = False
            await asyncio.sleep(LISTING if self._tasks else WAITING)

    def _compare(self, nodes: Sequence[Node], *, first: bool) -> None:
        if first and not nodes:
            sys.stderr.write(f"{self._chosen.what} has no nodes yet; they are waited for\n")
        there = {node.id: node for node in nodes}
        self._prepare([node for node in nodes if node.id not in self._tasks])
        for id_, node in there.items():
            self._missed[id_] = 0
            if id_ not in self._tasks:
                self._tasks[id_] = asyncio.create_task(self._reader(node).follow(), name=node.name)
        for task in self._tasks.values():
            if task.done():
                task.result()  # it ends by a bug alone
        for id_ in [one for one in self._tasks if one not in there]:
            self._missed[id_] += 1
            if self._missed[id_] >= MISSED:
                task = self._tasks.pop(id_)
                task.cancel()
                sys.stderr.write(f"{task.get_name()}: is gone\n")

    async def _look_for_readers(self) -> None:
        while True:
            self._sheet.look()
            await asyncio.sleep(READER)

    def _prepare(self, nodes: Sequence[Node]) -> None:
        self._sheet.expect(nodes)
        self._chosen.hide_secrets(nodes)

    def _reader(self, node: Node) -> Reader:
        access = partial(self._chosen.access, node)
        return Reader(
            node,
            self._new_log(),
            access,
            self._console(node),
            self._sheet.show,
            self._sheet.tell,
            lines=self._lines,
        )

    def _console(self, node: Node) -> Callable[[], Awaitable[str]] | None:
        location = self._chosen.location_of(node)
        shows = isinstance(location.provider, SupportsConsole)
        return partial(location.console, node) if shows else None
