"""`log`: a log says what it should, and not what it should not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.matching import absolute, expression
from spotdeploy_checks.units import refuse_odd_unit

SHOWN: Final = 3
"""Lines shown of what was found."""
FOUND: Final = 0
NOT_FOUND: Final = 1
_FILE: Final = """
export LC_ALL=C
[ -f "$1" ] || { echo "there is no file $1" >&2; exit 3; }
read_it() { cat -- "$1"; }
"""
_JOURNAL: Final = """
export LC_ALL=C
[ "$(systemctl show --property=LoadState --value -- "$1")" != not-found ] \\
    || { echo "there is no unit $1" >&2; exit 3; }
read_it() { journalctl --boot --quiet --no-pager --output=cat --unit="$1"; }
"""
# Nothing is ruled out in what could not be read to its end. A reader that is ended
# by SIGPIPE (141) was not needed any more.
_SEARCH: Final = f"""
exec 4>&1
ended=$({{
    {{ read_it "$1" || [ $? -eq 141 ] || echo unread >&3; }} \\
        | grep --text --perl-regexp --max-count={SHOWN} --regexp="$2" >&4
    echo $? >&3
}} 3>&1)
case $ended in unread*1) echo "it could not be read to its end" >&2; exit 3;; esac
exit ${{ended#unread}}
"""
_END: Final = 'read_it "$1" | tail -n "$2"'


class LogSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `log` check. Either `path` or `unit`. It is searched on the node, whole and
    line by line, with the regular expressions of PCRE."""

    path: str = ""
    """A log file, which is searched from its beginning."""
    unit: str = ""
    """A systemd unit, whose journal since boot is searched."""
    pattern: str = ""
    """A regular expression that some line must match."""
    forbid: str = ""
    """A regular expression that no line may match."""
    timeout: Duration = Duration("60s")
    """For one search."""

    def __post_init__(self) -> None:
        """Refuse what asks nothing or asks two things."""
        if bool(self.path) == bool(self.unit):
            raise ValueError("path: give either path or unit")
        if not self.pattern and not self.forbid:
            raise ValueError("pattern: give pattern, forbid, or both")
        if self.path:
            absolute("path", self.path)
        else:
            refuse_odd_unit("unit", self.unit)
        for key, text in (("pattern", self.pattern), ("forbid", self.forbid)):
            expression(key, text)
            if "\n" in text:
                raise ValueError(f"{key}: a log is searched line by line, and it has two lines")


class LogCheck(Check[LogSettings]):
    """Search it on the node, so that its size does not matter."""

    kind = "log"
    Settings = LogSettings

    def title(self) -> str:
        return f"log {plain(self.settings.path or self.settings.unit)}"

    def evidence(self) -> Sequence[str]:
        """The log itself."""
        return (self.settings.path,) if self.settings.path else ()

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        expected = self.settings
        if expected.forbid:
            found = await self._search(connection, expected.forbid)
            if found.exit_code == FOUND:
                return self.failed(f"it says: {_lines(found.stdout)}", final=True)
            if found.exit_code != NOT_FOUND:
                return self._trouble(found)
        if not expected.pattern:
            return await self._nothing_forbidden(connection)
        found = await self._search(connection, expected.pattern)
        if found.exit_code == FOUND:
            return self.passed(_lines(found.stdout).partition("\n")[0])
        if found.exit_code != NOT_FOUND:
            return self._trouble(found)
        end = await connection.run(ending(expected.path, expected.unit))
        output = _lines(end.stdout) or "it is empty"
        return self.failed(f"no line matches {expected.pattern!r}; its end: {output}")

    async def _nothing_forbidden(self, connection: Connection) -> CheckResult:
        """A unit that was started has a line at least: an empty journal vouches for nothing."""
        if self.settings.unit:
            end = await connection.run(ending("", self.settings.unit))
            if not _lines(end.stdout):
                return self.failed("its journal since boot is empty")
        return self.passed()

    async def _search(self, connection: Connection, pattern: str) -> CommandResult:
        line = searching(self.settings.path, self.settings.unit, pattern)
        return await connection.run(line, timeout=self.settings.timeout)

    def _trouble(self, result: CommandResult) -> CheckResult:
        message = plain(result.stderr, limit=300) or f"exit code {result.exit_code}"
        return self.failed(f"it cannot be searched: {message}")


def searching(path: str, unit: str, pattern: str) -> Sequence[str]:
    """The command that prints the first lines that match. Exits with 0 when there are any, with
    1 when there are none, and with something else when it could not search."""
    return ["sh", "-c", _reading(path) + _SEARCH, "sh", path or unit, pattern]


def ending(path: str, unit: str) -> Sequence[str]:
    """The command that prints the last lines."""
    return ["sh", "-c", _reading(path) + _END, "sh", path or unit, str(SHOWN)]


def _reading(path: str) -> str:
    return _FILE if path else _JOURNAL


def _lines(text: str) -> str:
    return plain(text, limit=1000)
