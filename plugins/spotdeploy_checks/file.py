"""`file`: a file is there, and as it should be; or it is not there."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.matching import absolute, expression, missing

READ_LIMIT: Final = 1 << 19
_MODE: Final = re.compile(r"[0-7]{3,4}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FACTS: Final = re.compile(r"([0-9a-f]{1,8}) (\d{1,18}) (\d+) (\d+)\n(.*)\n(.*)\n(.*)\n?")
_LOOK: Final = f"""
export LC_ALL=C
if ! [ -e "$1" ]; then
    [ ! -L "$1" ] || {{ echo dangling; exit 0; }}
    echo absent
    exit 0
fi
stat -L --printf='%f %s %u %g\\n%U\\n%G\\n' -- "$1" || exit 1
[ -f "$1" ] || {{ echo; exit 0; }}
case $2 in *sum*) sha256sum < "$1" | cut -c 1-64;; *) echo;; esac
case $2 in *read*) head -c {READ_LIMIT} -- "$1";; esac
"""


class FileSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `file` check. Of a link, the file it leads to is looked at."""

    path: str
    """An absolute path on the node."""
    absent: bool = False
    """True when nothing may be there; then no other key can be given."""
    mode: str = ""
    """Permission bits in octal, for example "0644"."""
    owner: str = ""
    """A name or a number."""
    group: str = ""
    """A name or a number."""
    sha256: str = ""
    """64 hexadecimal digits in lower case."""
    min_size: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The least size, in bytes."""
    max_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The greatest size, in bytes."""
    contains: str = ""
    """Text that the first half megabyte must have."""
    matches: str = ""
    """A regular expression that the first half megabyte must match."""

    def __post_init__(self) -> None:
        """Refuse values that no file can have."""
        absolute("path", self.path)
        if self.mode and not _MODE.fullmatch(self.mode):
            raise ValueError(f'mode: {self.mode!r} is not permission bits such as "0644"')
        if self.sha256 and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256: {self.sha256!r} is not 64 digits of 0-9 and a-f")
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError(f"max_size: {self.max_size} is less than min_size, {self.min_size}")
        expression("matches", self.matches)
        if self.absent and self.asks_more:
            raise ValueError("absent: nothing else can be asked of a file that must not be there")

    @property
    def asks_content(self) -> bool:
        """Whether the content must be read."""
        return bool(self.contains or self.matches)

    @property
    def asks_more(self) -> bool:
        """Whether anything is asked but that it is there."""
        named = (self.mode, self.owner, self.group, self.sha256, self.min_size)
        return any(named) or self.max_size is not None or self.asks_content


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node tells of a file."""

    mode: int
    """Kind and permission bits, as in `stat.st_mode`."""
    size: int
    owner: tuple[str, str]
    """Number and name."""
    group: tuple[str, str]
    sha256: str
    text: str


class FileCheck(Check[FileSettings]):
    """Look at it with one command."""

    kind = "file"
    Settings = FileSettings

    def title(self) -> str:
        return f"file {plain(self.settings.path)}{' absent' if self.settings.absent else ''}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        result = await connection.run(inspect_command(self.settings), timeout=120.0)
        if result.exit_code != 0:
            message = plain(result.stderr, limit=300)
            return self.failed(f"it cannot be looked at: {message or f'exit {result.exit_code}'}")
        answer = result.stdout.strip()
        if answer in ("absent", "dangling"):
            message = "it is not there" if answer == "absent" else "it is a link that leads nowhere"
            return self.passed(message) if self.settings.absent else self.failed(message)
        facts = parse(result.stdout)
        if facts is None:
            return self.failed(f"the node did not tell: {plain(result.stdout, limit=200)!r}")
        if self.settings.absent:
            return self.failed(f"it is there: {facts.size} bytes, owned by {facts.owner[1]}")
        return self._judged(list(differences(self.settings, facts)), facts)

    def _judged(self, wrong: list[str], facts: Facts) -> CheckResult:
        return self.failed("; ".join(wrong)) if wrong else self.passed(f"{facts.size} bytes")


def inspect_command(expected: FileSettings) -> Sequence[str]:
    """The command that tells what is asked, and reads no more than that needs."""
    what = f"{'sum' if expected.sha256 else ''},{'read' if expected.asks_content else ''}"
    return ["sh", "-c", _LOOK, "sh", expected.path, what]


def parse(output: str) -> Facts | None:
    """The facts in that command's output; None when they are not there."""
    match = _FACTS.match(output)
    if match is None:
        return None
    mode, size, uid, gid, owner, group, digest = match.groups()
    text = output[match.end() :]
    return Facts(int(mode, 16), int(size), (uid, owner), (gid, group), digest, text)


def differences(expected: FileSettings, facts: Facts) -> Iterator[str]:
    """How a file differs from what is wanted."""
    bits = f"{stat.S_IMODE(facts.mode):04o}"
    if expected.mode and bits != expected.mode.zfill(4):
        yield f"its mode is {bits}, not {expected.mode.zfill(4)}"
    if expected.owner and expected.owner not in facts.owner:
        yield f"its owner is {plain(facts.owner[1])}, not {expected.owner}"
    if expected.group and expected.group not in facts.group:
        yield f"its group is {plain(facts.group[1])}, not {expected.group}"
    if facts.size < expected.min_size:
        yield f"it has {facts.size} bytes, fewer than {expected.min_size}"
    if expected.max_size is not None and facts.size > expected.max_size:
        yield f"it has {facts.size} bytes, more than {expected.max_size}"
    if (expected.sha256 or expected.asks_content) and not stat.S_ISREG(facts.mode):
        yield "it is not a plain file"
        return
    if expected.sha256 and facts.sha256 != expected.sha256:
        yield f"its sha256 is {plain(facts.sha256, limit=64)}, not {expected.sha256}"
    if lack := missing(facts.text, contains=expected.contains, matches=expected.matches):
        yield f"{lack} is not in its first {min(facts.size, READ_LIMIT)} bytes"
