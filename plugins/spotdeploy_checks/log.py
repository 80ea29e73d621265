"""`log`: a log says what it should, and not what it should not."""

from __future__ import annotations

from collections.abc import Sequence

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.tcp import compiled

READ_LIMIT = 1 << 19


class LogSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `log` check. Either `path` or `unit`; the last half megabyte is read."""

    path: str = ""
    unit: str = ""
    """A systemd unit, whose journal since boot is read."""
    pattern: str = ""
    """A regular expression that must be there."""
    forbid: str = ""
    """A regular expression that must not be there."""

    def __post_init__(self) -> None:
        """Refuse what asks nothing or asks two things."""
        if bool(self.path) == bool(self.unit):
            raise ValueError("give either path or unit")
        if not self.pattern and not self.forbid:
            raise ValueError("give pattern, forbid, or both")
        compiled(self.pattern)
        compiled(self.forbid)


class LogCheck(Check[LogSettings]):
    """Read it with one command and search here."""

    kind = "log"
    Settings = LogSettings

    def title(self) -> str:
        """As in the contract."""
        return f"log {self.settings.path or self.settings.unit}"

    def evidence(self) -> Sequence[str]:
        """As in the contract: the log itself."""
        return (self.settings.path,) if self.settings.path else ()

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        settings = self.settings
        result = await connection.run(reading(settings.path, settings.unit))
        if result.exit_code != 0:
            return self.failed(plain(result.stderr, limit=300) or "it cannot be read")
        if settings.forbid and (found := compiled(settings.forbid).search(result.stdout)):
            return self.failed(f"it says {plain(found[0], limit=300)!r}")
        if not compiled(settings.pattern).search(result.stdout):
            tail = plain(result.stdout[-500:], limit=500)
            return self.failed(f"no {settings.pattern!r} in it; it ends: {tail}")
        return self.passed()


def reading(path: str, unit: str) -> Sequence[str]:
    """The command that reads the log's end."""
    if path:
        return ["tail", "-c", str(READ_LIMIT), "--", path]
    line = f'journalctl --boot --no-pager --output=cat --unit="$1" | tail -c {READ_LIMIT}'
    return ["sh", "-c", line, "sh", unit]
