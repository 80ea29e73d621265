"""`command`: a command on the node says what it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.matching import expression, missing

TIMED_OUT: Final = 124
"""The exit code by which `Connection.run` tells that the time passed."""


class CommandSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `command` check. The command runs as root and must change nothing."""

    command: str | tuple[str, ...]
    """Text is run by `sh -c`, a list as it is."""
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    """What it must exit with; 124 cannot be asked for, it tells that the time was up."""
    contains: str = ""
    """Text that standard output must have."""
    matches: str = ""
    """A regular expression that standard output must match."""
    timeout: Duration = Duration("30s")
    """For one run."""

    def __post_init__(self) -> None:
        """Refuse an empty command, an expression that does not compile, and the exit code that
        stands for time passed."""
        if not any(part.strip() for part in self.command):
            raise ValueError("command: is empty")
        if self.exit_code == TIMED_OUT:
            raise ValueError(f"exit_code: {TIMED_OUT} means that a command did not end in time")
        expression("matches", self.matches)


class CommandCheck(Check[CommandSettings]):
    """Run it, and compare exit code and output."""

    kind = "command"
    Settings = CommandSettings

    def title(self) -> str:
        command = self.settings.command
        line = command if isinstance(command, str) else " ".join(command)
        return f"command {' '.join(plain(line, limit=60).split())}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        expected = self.settings
        line = arguments(expected.command)
        result = await connection.run(line, timeout=expected.timeout, alone=True)
        if result.exit_code != expected.exit_code:
            return self.failed(f"exit code {result.exit_code}: {_output(result)}")
        if lack := missing(result.stdout, contains=expected.contains, matches=expected.matches):
            cut = " (its output was too long to be read to the end)" if result.truncated else ""
            return self.failed(f"it did not say {lack}{cut}, but: {_output(result)}")
        return self.passed(plain(result.stdout, limit=100).partition("\n")[0])


def arguments(command: str | Sequence[str]) -> Sequence[str]:
    """The argument list of a configured command."""
    return ["sh", "-c", command] if isinstance(command, str) else command


def _output(result: CommandResult) -> str:
    output = (plain(stream, limit=500) for stream in (result.stderr, result.stdout))
    return "\n".join(filter(None, output)) or "(nothing)"
