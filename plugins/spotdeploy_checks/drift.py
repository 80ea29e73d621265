"""Whether the shipped files on a node are as they were shipped.

The node is given what should be there and answers with the differences alone, so the answer is
short however large the payload is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.model import (
    PAYLOAD,
    UPLOADED,
    FileKind,
    Manifest,
    PayloadFile,
    changed_paths,
)
from spotdeploy.node import paths
from spotdeploy.text import plain

NAMED: Final = 50
"""Paths that are named; of more, the number is told."""
ELSEWHERE: Final = (
    f"what runs on a node may write everywhere but below {paths.PAYLOAD}: in /var/lib, /srv, or "
    f"{paths.UPLOADED} beside what was uploaded"
)
_HOMES: Final = {PAYLOAD: paths.PAYLOAD, UPLOADED: paths.UPLOADED}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RECORD: Final = re.compile(r"(\S) 0([0-7]{1,5}) (\d+:\d+) (/.*)", re.DOTALL)
_FAILED: Final = re.compile(r"(\\?)(/.*): FAILED( open or read)?")
_LETTERS: Final = {FileKind.FILE: "f", FileKind.FOLDER: "d", FileKind.LINK: "l"}
"""What `find -printf %y` prints."""
_KINDS: Final = {"l": "a link", "d": "a folder", "p": "a pipe", "s": "a socket", "f": "a file"}
_STALE_BYTES: Final = 500_000

_END: Final = "~"
"""Sorted behind every record: an answer without it is not whole, whichever tool failed."""
# What should be there and what is there are joined; a line that comes twice is as it should be.
_LOOK: Final = f"""
export LC_ALL=C
expected=$(cat)
look='depth=$1; shift; find "$@" $depth -printf "%y 0%m %U:%G %p" \\
    \\( -type l -printf "\\t%l" -o -true \\) -printf "\\0" 2>/dev/null'
if [ -f {paths.MANIFEST} ]; then
    sha256sum < {paths.MANIFEST} | cut -c 1-64 | tr -d '\\n'
fi
printf '\\0'
{{
    printf '{_END}\\n%s\\n' "$expected" | tr '\\n' '\\0'
    sh -c "$look" sh '' {paths.PAYLOAD}
    printf '%s\\n' "$expected" | cut -f 1 | sed -n 's#^[^/]* \\({paths.UPLOADED}\\)#\\1#p' \\
        | tr '\\n' '\\0' | xargs -0 -r sh -c "$look" sh '-maxdepth 0'
}} | sort -z | uniq -zu
"""
_STALE: Final = f"LC_ALL=C sort -k 3 - {paths.MANIFEST} | LC_ALL=C uniq -u | head -c {_STALE_BYTES}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is at one path of a node, without its content."""

    kind: str
    """As `find` prints it: f, d, l, ..."""
    mode: int
    owner: str = "0:0"
    """User and group, as numbers."""
    target: str = ""
    """Where a link points."""

    def record(self, path: str) -> str:
        """As the node prints it."""
        to = f"\t{self.target}" if self.kind == "l" else ""
        return f"{self.kind} 0{self.mode:o} {self.owner} {path}{to}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the first look at a node gave."""

    digest: str
    """Of the manifest on the node; empty when there is none."""
    present: Mapping[str, Seen]
    """Path on the node to what is there, where that is not as expected."""
    unmet: frozenset[str]
    """Expected paths that are missing or have another kind, mode, owner or target."""


def inspect_command() -> Sequence[str]:
    """The command that compares all but contents; give it `expected` as its input."""
    return ["sh", "-c", _LOOK]


def expected(manifest: Manifest) -> dict[str, Seen]:
    """Path on the node to what should be there, for everything shipped and the folders above it."""
    folder = Seen("d", 0o755)
    shipped = {home(e): Seen(_LETTERS[e.kind], e.mode, target=e.target) for e in manifest.entries}
    return {paths.PAYLOAD: folder, paths.UPLOADED: folder, **shipped}


def as_input(there: Mapping[str, Seen]) -> bytes:
    """The input of the command of `look`."""
    return "\n".join(seen.record(path) for path, seen in there.items()).encode()


def read_look(output: str, desired: Mapping[str, Seen]) -> Found:
    """What that command said. Raises ValueError when it says something else."""
    digest, *records = output.split("\0")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError(f"the node gave {plain(digest, limit=100)!r} as a digest")
    if records[-2:] != [_END, ""]:
        raise ValueError("the node's answer about the shipped files has no end")
    del records[-2:]
    present: dict[str, Seen] = {}
    unmet: set[str] = set()
    for record in records:
        path, seen = _read(record)
        if desired.get(path) == seen:
            unmet.add(path)
        else:
            present[path] = seen
    return Found(digest, present, frozenset(unmet))


def stale_command() -> Sequence[str]:
    """The command that gives the lines that only one of two manifests has: that of its input, and
    that of the node."""
    return ["sh", "-c", _STALE]


def read_stale(output: str, tree: Manifest) -> list[str]:
    """The paths that differ, by what that command said, with how they differ in the tree."""
    lines = output.splitlines()
    if len(output) >= _STALE_BYTES:
        lines.pop()
    here = {entry.line.rstrip("\n") for entry in tree.entries}
    split = [(line, line.split(" ", 2)[-1].partition("\t")[0]) for line in lines]
    now = {path: line for line, path in split if line in here}
    before = {path: line for line, path in split if line not in here}
    return [plain(message, limit=300) for message in changed_paths(before, now)]


def hashing(manifest: Manifest, found: Found) -> tuple[Sequence[str], bytes]:
    """The command that names files with another content, and its input: every shipped file that
    is still a plain file (a pipe in its place would be read for ever)."""
    lines = [
        f"{entry.sha256}  {path}\n"
        for entry, path in ((entry, home(entry)) for entry in manifest.files)
        if path not in found.unmet or (path in found.present and found.present[path].kind == "f")
    ]
    command = ["env", "LC_ALL=C", "sha256sum", "--check", "--quiet", "--strict"]
    return command, "".join(lines).encode()


def read_hashing(output: str) -> list[str]:
    """The paths that command named."""
    matches = map(_FAILED.fullmatch, output.splitlines())
    return [m[2].replace("\\\\", "\\") if m[1] else m[2] for m in matches if m]


def differences(manifest: Manifest, found: Found, changed: Sequence[str]) -> list[str]:
    """Every path that is not as it was shipped, with how it differs; sorted by path."""
    desired = expected(manifest)
    reported = dict.fromkeys(changed, "was changed")
    for path, message in _moved(desired, found):
        reported[path] = f"{reported[path]} and {message}" if path in reported else message
    sources = {home(entry) for entry in manifest.files}
    for path, seen in found.present.items():
        if path not in desired and not _is_cache(path, seen, sources):
            reported[path] = "was added"
    return [f"{plain(path, limit=300)} {reported[path]}" for path in sorted(reported)]


def in_words(differing: Sequence[str]) -> str:
    """Differences in one line, and what to do where the payload itself may have written."""
    more = f"; and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    written = any("was added" in one or "was changed" in one for one in differing)
    elsewhere = f"; {ELSEWHERE}" if written else ""
    return f"drift: {'; '.join(differing[:NAMED])}{more}{elsewhere}"


def home(entry: PayloadFile) -> str:
    """Where a shipped file lies on the node."""
    root, _, rest = entry.path.partition("/")
    return f"{_HOMES[root]}/{rest}"


def _read(record: str) -> tuple[str, Seen]:
    match = _RECORD.fullmatch(record)
    if match is None:
        raise ValueError(f"the node listed {plain(record, limit=100)!r}")
    path, target = match[4], ""
    if match[1] == "l":
        path, _, target = path.partition("\t")
    return path, Seen(match[1], int(match[2], 8), match[3], target)


def _moved(desired: Mapping[str, Seen], found: Found) -> Iterator[tuple[str, str]]:
    for path in found.unmet:
        one, there = desired[path], found.present.get(path)
        if there is None:
            yield path, "is missing"
        elif there.kind != one.kind:
            yield path, f"is {_KINDS.get(there.kind, 'a device')} now"
        elif there.target != one.target:
            yield path, f"points to {plain(there.target, limit=300)}, not {one.target}"
        elif one.kind != "d" and there.mode != one.mode:
            yield path, f"has mode {there.mode:04o}, not {one.mode:04o}"
        elif one.kind != "d":
            yield path, f"belongs to {there.owner}, not {one.owner}"


def _is_cache(path: str, seen: Seen, sources: set[str]) -> bool:
    """Whether Python made it by itself, out of a shipped source."""
    folder, _, name = path.rpartition("/")
    above, _, parent = folder.rpartition("/")
    if parent == "__pycache__" and name.endswith(".pyc") and seen.kind == "f":
        return f"{above}/{name.partition('.')[0]}.py" in sources
    if name != "__pycache__" or seen.kind != "d":
        return False
    return any(s.startswith(f"{folder}/") and s.endswith(".py") for s in sources)
