"""`spotdeploy run`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TextIO

import typer
from typer.core import TyperCommand

from spotdeploy.cli import completion
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
from spotdeploy.cli.tables import json_text, table
from spotdeploy.duration import Duration, spell
from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.labels import group_of
from spotdeploy.model import Node, Verdict
from spotdeploy.node.ask import Asked, Question
from spotdeploy.project import Project
from spotdeploy.report.github import quoting
from spotdeploy.text import counted, plain

LIMIT: Final = 200_000
"""Characters of one node's output that are shown, of each stream."""
AT_ONCE: Final = 64
"""Nodes that are asked at the same time."""
LONGEST: Final = 3600.0
"""Seconds that a command may take at most: beyond that it is a job, and belongs to the payload."""
WITHOUT_BUS: Final = (
    "systemctl cannot ask in the sandbox of a node with polkit, which lets anybody change "
    "something; journalctl can, and 'spotdeploy debug' shows the units"
)
_COMMAND: Final = "spotdeploy.command"


class Parser(TyperCommand):
    """What stands behind `--` is the command, however it looks. The context is of click's own type,
    which some versions of typer bring along under another name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set the command aside, and parse the rest."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage, with the command at its end."""
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


def command(
    context: typer.Context,
    nodes: NodeNames = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            "-g",
            help="The nodes of this group. Repeatable.",
            autocompletion=completion.groups,
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it may take on each node.")
    ] = "30s",
    network: Annotated[
        bool, typer.Option("--network", help="With the node's network, instead of none.")
    ] = False,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="As root without the sandbox; the nodes can no longer pass verify."
        ),
    ] = False,
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    json: Json = False,
) -> None:
    """Run a command on all nodes; it can change nothing there.

    One word is a line for the node's shell, several are a program and its arguments. It runs in a
    sandbox, in which everything can be read and nothing can be written but a /tmp of its own; so
    the nodes can still pass verify. Ends with 1 when it failed on a node, with 3 when a node could
    not be asked.
    """
    question = _question(context.meta[_COMMAND], timeout, network=network, write=write)
    chosen = Chosen(
        Project.open(config, deployment=deployment, providers=provider),
        only,
        nodes or (),
        group or (),
    )
    try:
        answers = asyncio.run(_run(chosen, question, as_json=json))
    finally:
        chosen.close()
    raise typer.Exit(exit_code(answers.values()))


def exit_code(answers: Iterable[Asked]) -> int:
    """3 when a node could not be asked, else 1 when the command failed on one, else 0."""
    some = list(answers)
    if any(one.result is None for one in some):
        return Verdict.INFRASTRUCTURE_FAILED.exit_code
    return (Verdict.PASSED if all(one.ok for one in some) else Verdict.PAYLOAD_FAILED).exit_code


def _question(words: Sequence[str], timeout: str, *, network: bool, write: bool) -> Question:
    """What is asked. Raises ConfigError for what cannot be."""
    if not any(word.strip() for word in words[:1]):
        raise ConfigError(
            "no command: nothing stands behind --", hint="spotdeploy run -- systemctl --failed"
        )
    try:
        seconds = Duration(timeout)
    except ValueError as error:
        raise ConfigError(f"--timeout: {error}") from error
    if not 0 < seconds <= LONGEST:
        raise ConfigError(
            f"--timeout: {timeout} is not between 0s and {spell(LONGEST)}",
            hint=f"give at most {spell(LONGEST)}: what takes longer is a job of the payload",
        )
    return Question(tuple(words), seconds, network=network, write=write)


async def _run(chosen: Chosen, question: Question, *, as_json: bool) -> dict[str, Asked]:
    """Ask, and show the answers. Raises RefusedError when there is nobody to ask."""
    nodes = await chosen.nodes()
    if not nodes:
        raise RefusedError(f"{chosen.what} has no nodes to ask", hint="spotdeploy create")
    chosen.hide_secrets(nodes)
    shown = _Shown(sys.stdout, nodes, as_json=as_json)
    with quoting(sys.stdout, {} if as_json else os.environ):
        answers = await _ask_all(chosen, question, nodes, shown)
        shown.conclude(answers)
    return answers


async def _ask_all(
    chosen: Chosen, question: Question, nodes: Sequence[Node], shown: _Shown
) -> dict[str, Asked]:
    """The answer of each node, by its id, shown as they come."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(node: Node) -> tuple[str, Asked]:
        async with turns:
            try:
                access = chosen.access(node)
            except RefusedError as error:
                asked = Asked(problem=error.message)
            else:
                asked = await question.ask(access)
        shown.answer(node, asked)
        return node.id, asked

    return dict(await asyncio.gather(*map(ask, nodes)))


class _Shown:
    """Shows answers as they come, each line behind its node's name; or all at the end, as JSON."""

    def __init__(self, stream: TextIO, nodes: Sequence[Node], *, as_json: bool) -> None:
        self._stream = stream
        self._nodes = nodes
        self._json = as_json
        self._width = max(len(node.name) for node in nodes)

    def answer(self, node: Node, asked: Asked) -> None:
        """Show what a node said."""
        if self._json:
            return
        if asked.result is None:
            lines = [f"cannot be asked: {plain(asked.problem, limit=600)}"]
        else:
            streams = (asked.result.stdout, asked.result.stderr)
            lines = [line for text in streams for line in plain(text, limit=LIMIT).splitlines()]
        before = f"{node.name.ljust(self._width)} | "
        self._stream.writelines(f"{before}{line}\n" for line in lines)
        self._stream.flush()

    def conclude(self, answers: Mapping[str, Asked]) -> None:
        """Show the summary, or all of it as JSON."""
        if self._json:
            data = [self._data(node, answers[node.id]) for node in self._nodes]
            self._stream.write(json_text(data) + "\n")
            return
        rows = [(node.name, *_row(answers[node.id])) for node in self._nodes]
        lines = ["", table([("NODE", "EXIT CODE", "TIME"), *rows]), ""]
        if touched := [node for node in self._nodes if answers[node.id].touched]:
            lines += [
                f"{counted(len(touched), 'node')} touched by --write: they can no longer pass "
                "verify; 'spotdeploy cycle' replaces them"
            ]
        if any(one.without_bus and not one.ok for one in answers.values()):
            lines.append(WITHOUT_BUS)
        self._stream.write("\n".join([*lines, _verdict(list(answers.values()))]) + "\n")

    def _data(self, node: Node, asked: Asked) -> dict[str, object]:
        result = asked.result
        return {
            "node": node.name,
            "id": node.id,
            "group": group_of(node.labels),
            "exit_code": result.exit_code if result else None,
            "stdout": plain(result.stdout, limit=LIMIT) if result else "",
            "stderr": plain(result.stderr, limit=LIMIT) if result else "",
            "problem": plain(asked.problem, limit=600),
            "seconds": round(asked.seconds, 3),
            "without_bus": asked.without_bus,
            "touched": asked.touched,
        }


def _row(asked: Asked) -> tuple[str, str]:
    code = "not asked" if asked.result is None else str(asked.result.exit_code)
    return code, spell(round(asked.seconds, 1))


def _verdict(answers: Sequence[Asked]) -> str:
    good = sum(one.ok for one in answers)
    unasked = sum(one.result is None for one in answers)
    failed = len(answers) - good - unasked
    parts = [f"exit code 0 on {good} of {counted(len(answers), 'node')}"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{unasked} could not be asked"] if unasked else []
    return ", ".join(parts)
