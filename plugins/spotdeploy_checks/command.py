"""`command`: a command on the node says what it should."""

from __future__ import annotations

from collections.abc import Sequence

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.tcp import compiled


class CommandSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `command` check. The command runs as root and must change nothing."""

    command: str | tuple[str, ...]
    """Text is run by `sh -c`, a list as it is."""
    exit_code: int = 0
    matches: str = ""
    """A regular expression that standard output must have."""
    timeout: Duration = Duration("30s")

    def __post_init__(self) -> None:
        """Refuse an empty command and an expression that does not compile."""
        if not self.command:
            raise ValueError("command is empty")
        compiled(self.matches)


class CommandCheck(Check[CommandSettings]):
    """Run it, and compare exit code and output."""

    kind = "command"
    Settings = CommandSettings

    def title(self) -> str:
        """As in the contract."""
        command = self.settings.command
        return (
            f"command {plain(command if isinstance(command, str) else ' '.join(command), limit=60)}"
        )

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        line = arguments(self.settings.command)
        result = await connection.run(line, timeout=self.settings.timeout)
        if result.exit_code != self.settings.exit_code:
            return self.failed(f"exit code {result.exit_code}: {_said(result)}")
        if not compiled(self.settings.matches).search(result.stdout):
            return self.failed(f"no {self.settings.matches!r} in: {_said(result)}")
        return self.passed()


def arguments(command: str | Sequence[str]) -> Sequence[str]:
    """The argument list of a configured command."""
    return ["sh", "-c", command] if isinstance(command, str) else command


def _said(result: CommandResult) -> str:
    return plain("\n".join(filter(None, (result.stderr, result.stdout))), limit=500) or "(nothing)"
