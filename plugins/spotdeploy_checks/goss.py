"""`goss`: a goss file of the user's holds on the node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Manifest, Node
from spotdeploy.text import plain
from spotdeploy_checks import goss_answer
from spotdeploy_checks.goss_answer import Report
from spotdeploy_checks.local import missing_here

UPLOADED: Final = "/opt/uploaded_files/"
NAMED: Final = 5
"""Failed tests that are shown with their reasons."""
LIMIT: Final = 1 << 20
"""The largest goss file, in bytes."""
_ABSENT: Final = "spotdeploy found no goss"
_NOT_RUN: Final = 126
_UNREADABLE: Final = 78
"""How goss from 0.3 on exits when the file cannot be used."""
_VALIDATE: Final = f"""
binary=$(command -v -- "$1") || binary=$(command -v -- "{UPLOADED}$1") || {{
    echo "{_ABSENT}" >&2
    exit 127
}}
shift
cd /
exec "$binary" "$@"
"""
_ADVICE: Final = (
    f"put a release of it (https://github.com/goss-org/goss/releases) with mode 0755 into a file"
    f" named goss that payload.upload names; it is then {UPLOADED}goss, where this check finds it"
)


class GossSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `goss` check."""

    file: str
    """The goss file, relative to spotdeploy.toml."""
    binary: str = "goss"
    """A name on the node's PATH or in /opt/uploaded_files, or an absolute path on the node."""
    vars: dict[str, Any] = msgspec.field(default_factory=dict)
    """What templates in the goss file may use."""
    timeout: Duration = Duration("1m")
    """For one run."""

    def __post_init__(self) -> None:
        """Refuse empty names, and a path that would depend on where it is run."""
        if not self.file.strip():
            raise ValueError("file: is empty")
        if not self.binary.strip() or self.binary.startswith("-"):
            raise ValueError(f"binary: {self.binary!r} names no program")
        if "/" in self.binary and not self.binary.startswith("/"):
            raise ValueError(f"binary: {self.binary!r} is neither a name nor an absolute path")


class GossCheck(Check[GossSettings]):
    """Hand the file to goss on the node as its standard input: nothing is written there."""

    kind = "goss"
    Settings = GossSettings

    def title(self) -> str:
        return f"goss {plain(self.settings.file, limit=80)}"

    def files(self) -> Sequence[Path]:
        return (self._file,)

    def objection(self, manifest: Manifest) -> str:
        """A missing file, or a shipped goss that cannot be run."""
        shipped = {f"/opt/{entry.path}": entry.mode for entry in manifest.entries}
        binary = self.settings.binary
        path = binary if "/" in binary else f"{UPLOADED}{binary}"
        if not shipped.get(path, 0o755) & 0o111:
            return f"{path} would be shipped with mode {shipped[path]:04o}: make it executable"
        return missing_here("file", self.folder, [self.settings.file])

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        try:
            file = self._file.read_bytes()
        except OSError as error:
            message = f"file: {self.settings.file} cannot be read: {error.strerror}"
            return self.failed(message, final=True)
        if len(file) > LIMIT:
            message = f"file: {self.settings.file} has more than {LIMIT} bytes"
            return self.failed(message, final=True)
        result = await connection.run(
            command(self.settings), timeout=self.settings.timeout, stdin=file, alone=True
        )
        return self._judged(result)

    @property
    def _file(self) -> Path:
        return self.folder / Path(self.settings.file).expanduser()

    def _judged(self, result: CommandResult) -> CheckResult:
        if result.exit_code == 127 and _ABSENT in result.stderr:
            message = f"{self.settings.binary} is not on the node; {_ADVICE}"
            return self.failed(message, final=True)
        if result.exit_code == _NOT_RUN:
            return self.failed(f"it cannot be run: {_output(result)}", final=True)
        report = goss_answer.parse(result.stdout)
        if report is None:
            cut = " (its answer was too long)" if result.truncated else ""
            final = result.exit_code == _UNREADABLE
            return self.failed(f"{_ended(result)}{cut}: {_output(result)}", final=final)
        if report.failed:
            return self.failed(failed_words(report))
        if result.exit_code != 0:
            return self.failed(f"{_ended(result)}, though it names no failed test")
        if not report.passed:
            return self.failed(f"no test ran: {report.skipped} were skipped")
        skipped = f", {report.skipped} skipped" if report.skipped else ""
        return self.passed(f"{_tests(report.passed)} passed{skipped}")


def command(settings: GossSettings) -> list[str]:
    """The command that reads a goss file and answers with JSON."""
    arguments = ["--gossfile", "-"]
    if settings.vars:
        arguments += ["--vars-inline", msgspec.json.encode(settings.vars).decode()]
    arguments += ["validate", "--format", "json", "--no-color"]
    return ["sh", "-c", _VALIDATE, "sh", settings.binary, *arguments]


def failed_words(report: Report) -> str:
    """The count in the first line, and then the tests."""
    shown = report.reasons[:NAMED]
    more = report.failed - len(shown)
    first = f"{report.failed} of {_tests(report.failed + report.passed)} failed"
    return "\n".join(
        [
            f"{first}: {shown[0]}" if shown else first,
            *shown[1:],
            *([f"and {more} more"] if more and shown else []),
        ]
    )


def _tests(count: int) -> str:
    return f"{count} test{'s' if count != 1 else ''}"


def _ended(result: CommandResult) -> str:
    return f"goss ended with exit code {result.exit_code}"


def _output(result: CommandResult) -> str:
    output = (plain(stream, limit=500) for stream in (result.stderr, result.stdout))
    return "\n".join(filter(None, output)) or "(nothing)"
