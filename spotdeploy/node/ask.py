"""One command on many nodes at once, outside a run: in the sandbox, or by hand."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final

from spotdeploy.check import CommandResult
from spotdeploy.errors import SpotdeployError
from spotdeploy.node.access import NodeAccess, mark_script
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.exec import TIMED_OUT
from spotdeploy.node.sandbox import HIDDEN, sandboxed
from spotdeploy.text import plain

PATIENCE: Final = 15.0
"""Seconds within which a node must let us in."""
_OVERHEAD: Final = 15.0
"""Seconds that a node may need beside the command's own time."""
_ENDED: Final = {226: "the node allows no mount namespaces", TIMED_OUT: "no answer in time"}
"""https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Process%20Exit%20Codes"""
TOUCH: Final = "spotdeploy run --write"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command gave on one node."""

    result: CommandResult | None = None
    """None when the node could not be asked."""
    problem: str = ""
    """Why it could not."""
    seconds: float = 0.0
    without_bus: bool = False
    """Whether the sandbox could not have the node's system bus."""
    touched: bool = False
    """Whether the node is marked, or may be: then it can no longer pass verify."""

    @property
    def ok(self) -> bool:
        """Whether the command exited with 0."""
        return self.result is not None and self.result.exit_code == 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every node."""

    command: tuple[str, ...]
    """One word is a line for the node's shell, several are a program and its arguments."""
    seconds: float
    """The command's time on each node."""
    network: bool = False
    """With the node's network; without `write`."""
    write: bool = False
    """As root and outside the sandbox: the node is marked as touched first."""

    @property
    def words(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return ("/bin/sh", "-c", *self.command) if len(self.command) == 1 else self.command

    async def ask(self, access: NodeAccess) -> Asked:
        """Ask one node. Raises nothing of ours."""
        began, entered = time.monotonic(), False
        try:
            async with access.connected(PATIENCE) as connection:
                entered = True
                return await self._asked(connection, began)
        except SpotdeployError as error:
            problem = error.message.removeprefix(f"{access.node.name}: ")
            touched = entered and self.write
            return Asked(None, problem, time.monotonic() - began, touched=touched)

    async def _asked(self, connection: NodeConnection, began: float) -> Asked:
        mark = f"\x1e{secrets.token_hex(16)}"
        line = self._by_hand(mark) if self.write else self._in_sandbox(mark)
        result = await connection.run(line, timeout=self.seconds + _OVERHEAD, alone=self.write)
        took = time.monotonic() - began
        before, begun, rest = result.stderr.partition(mark)
        flag, _, errors = rest.partition("\n")
        if not begun:
            what = "cannot be marked as touched" if self.write else "cannot make the sandbox"
            said = plain(before or result.stdout, limit=300)
            why = said or _ENDED.get(result.exit_code) or f"exit code {result.exit_code}"
            return Asked(None, f"it {what}, so nothing was run: {why}", took)
        if result.exit_code == TIMED_OUT and took >= self.seconds:
            errors = f"no end within {self.seconds:g}s\n{errors}"
        answer = CommandResult(result.exit_code, result.stdout, errors, result.truncated)
        return Asked(answer, "", took, flag.strip() == HIDDEN, self.write)

    def _in_sandbox(self, mark: str) -> list[str]:
        return sandboxed(self.words, mark, seconds=self.seconds, network=self.network)

    def _by_hand(self, mark: str) -> list[str]:
        script = f'{mark_script(TOUCH)}; printf \'%s\\n\' "$1" >&2; shift; exec timeout -k 1 "$@"'
        return ["sh", "-c", script, "sh", mark, f"{self.seconds:g}", *self.words]
