"""`file`: a file is there, and as it should be."""

from __future__ import annotations

from typing import Annotated

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.tcp import compiled

READ_LIMIT = 1 << 19
LOOK = (
    '[ -e "$1" ] || [ -L "$1" ] || { echo absent; exit 0; }; '
    'stat -L -c "%F|%a|%U|%G|%s" -- "$1" || exit 1; '
    'if [ -f "$1" ]; then sha256sum < "$1" | cut -d " " -f 1; else echo -; fi; '
    f'if [ -f "$1" ] && [ "$2" = read ]; then head -c {READ_LIMIT} -- "$1"; fi'
)


class FileSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `file` check."""

    path: Annotated[str, msgspec.Meta(pattern="^/")]
    absent: bool = False
    """True when it must not be there."""
    mode: Annotated[str, msgspec.Meta(pattern="^0?[0-7]{3,4}$")] = ""
    """Permission bits, for example "0644"."""
    owner: str = ""
    group: str = ""
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    contains: str = ""
    """A regular expression that the first half megabyte must have."""

    def __post_init__(self) -> None:
        """Refuse an expression that does not compile."""
        compiled(self.contains)


class FileCheck(Check[FileSettings]):
    """Look at it with one command."""

    kind = "file"
    Settings = FileSettings

    def title(self) -> str:
        """As in the contract."""
        return f"file {self.settings.path}{' absent' if self.settings.absent else ''}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        read = "read" if self.settings.contains else "look"
        result = await connection.run(["sh", "-c", LOOK, "sh", self.settings.path, read])
        if result.exit_code != 0:
            return self.failed(plain(result.stderr, limit=300) or "it cannot be looked at")
        facts, _, rest = result.stdout.partition("\n")
        if facts == "absent":
            return self.passed() if self.settings.absent else self.failed("it is not there")
        if self.settings.absent:
            return self.failed(f"it is there: {plain(facts, limit=200)}")
        digest, _, text = rest.partition("\n")
        wrong = self._differences(facts.split("|"), digest, text)
        return self.failed("; ".join(wrong)) if wrong else self.passed()

    def _differences(self, facts: list[str], digest: str, text: str) -> list[str]:
        wanted = self.settings
        _, mode, owner, group, _ = (*facts, "", "", "", "")[:5]
        pairs = (
            ("mode", wanted.mode.lstrip("0"), mode),
            ("owner", wanted.owner, owner),
            ("group", wanted.group, group),
            ("sha256", wanted.sha256, digest),
        )
        wrong = [
            f"{key} is {plain(is_)}, not {want}" for key, want, is_ in pairs if want and want != is_
        ]
        if not compiled(wanted.contains).search(text):
            wrong.append(f"no {wanted.contains!r} in it")
        return wrong
