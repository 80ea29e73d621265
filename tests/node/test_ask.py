"""Asking a node: what counts as its answer, and what as none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.errors import UnreachableError
from spotdeploy.node.access import NodeAccess
from spotdeploy.node.ask import Asked, Question
from tests.ssh_server import NODE


class Access:
    """A node that answers each command by a script of its own."""

    node = NODE

    def __init__(self, code: int, out: str = "", err: str = "", *, reached: bool = True) -> None:
        """In the texts, MARK is what the command was to say first."""
        self._answer = (code, out, err)
        self._reached = reached
        self.asked: Sequence[str] = ()

    @asynccontextmanager
    async def connected(self, patience: float) -> AsyncIterator[Access]:
        if not self._reached:
            raise UnreachableError("one: no answer within 15s", phase="connection")
        yield self

    async def run(self, command: Sequence[str], *, timeout: float, alone: bool) -> CommandResult:
        self.asked = command
        code, out, err = self._answer
        if code < 0:
            raise UnreachableError("one: the connection was lost", phase="connection")
        mark = next(word for word in command if word.startswith("\x1e"))
        return CommandResult(code, out, err.replace("MARK", mark))

    async def ask(self, *, write: bool = False) -> Asked:
        question = Question(("true",), 30.0, write=write)
        return await question.ask(cast("NodeAccess", self))


@pytest.mark.parametrize(
    ("code", "err", "shown"),
    [(0, "MARK\n", ""), (3, "MARK\nwhy\n", "why\n"), (226, "MARK\n", ""), (124, "MARK\n", "")],
)
async def test_what_comes_behind_the_mark_is_the_commands(code: int, err: str, shown: str) -> None:
    asked = await Access(code, "out", err).ask()
    assert asked.result == CommandResult(code, "out", shown)
    assert asked.ok == (code == 0)
    assert not asked.touched
    assert not asked.without_bus


async def test_a_node_without_the_bus_says_so_behind_the_mark() -> None:
    asked = await Access(1, "", "MARK without bus\nFailed to connect\n").ask()
    assert asked.without_bus
    assert asked.result == CommandResult(1, "", "Failed to connect\n")


@pytest.mark.parametrize(
    ("code", "err", "why"),
    [
        (226, "", "the node allows no mount namespaces"),
        (124, "", "no answer in time"),
        (1, "Unknown assignment: X=y\n", "Unknown assignment: X=y"),
        (1, "its file system is not read-only\n", "its file system is not read-only"),
        (127, "sh: systemd-run: not found\n", "sh: systemd-run: not found"),
        (0, "", "exit code 0"),
    ],
)
async def test_without_the_sandbox_nothing_was_run(code: int, err: str, why: str) -> None:
    asked = await Access(code, "", err).ask()
    assert asked.result is None
    assert asked.problem == f"it cannot make the sandbox, so nothing was run: {why}"
    assert not asked.touched


async def test_a_node_that_takes_no_mark_is_not_changed() -> None:
    asked = await Access(1, "", "tee: Read-only file system\n").ask(write=True)
    assert asked.problem.startswith("it cannot be marked as touched, so nothing was run: tee")
    assert not asked.touched


async def test_by_hand_the_mark_is_left_before_the_command_begins() -> None:
    access = Access(0, "", "MARK\n")
    asked = await access.ask(write=True)
    assert asked.touched
    script = access.asked[2]
    assert script.index("/var/lib/spotdeploy/touched") < script.index("exec timeout")


@pytest.mark.parametrize("write", [False, True])
async def test_a_node_that_is_not_reached_is_not_touched(write: bool) -> None:
    asked = await Access(0, reached=False).ask(write=write)
    assert (asked.result, asked.problem) == (None, "no answer within 15s")
    assert not asked.touched


@pytest.mark.parametrize("write", [False, True])
async def test_a_node_that_is_lost_by_hand_counts_as_touched(write: bool) -> None:
    asked = await Access(-1).ask(write=write)
    assert asked.problem == "the connection was lost"
    assert asked.touched == write
