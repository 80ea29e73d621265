"""Whether the shipped files on a node are as they were shipped.

The node is given what should be there and answers with the differences alone, so the answer is
short however large the payload is.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from spotdeploy.model import PAYLOAD, UPLOADED, Manifest, PayloadFile
from spotdeploy.node import paths
from spotdeploy.text import plain

NAMED: Final = 50
"""Paths that are named; of more, the number is told."""
_HOMES: Final = {PAYLOAD: paths.PAYLOAD, UPLOADED: paths.UPLOADED}
_FOLDER: Final = stat.S_IFDIR | 0o755
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RECORD: Final = re.compile(r"([0-9a-f]{1,8}) (/.*)", re.DOTALL)
_FAILED: Final = re.compile(r"(\\?)(/.*): FAILED( open or read)?")
_KINDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFREG: "a file",
}

_END: Final = "~"
"""Sorted behind every record: an answer without it is not whole, whichever tool failed."""
# What should be there and what is there are joined; a line that comes twice is as it should be.
_LOOK: Final = f"""
export LC_ALL=C
expected=$(cat)
if [ -f {paths.MANIFEST} ]; then
    sha256sum < {paths.MANIFEST} | cut -c 1-64 | tr -d '\\n'
fi
printf '\\0'
{{
    printf '%s\\n' "$expected" | tr '\\n' '\\0'
    {{
        find {paths.PAYLOAD} -print0
        printf '%s\\n' "$expected" \\
            | sed -n 's#^[0-9a-f]* \\({paths.UPLOADED}\\)#\\1#p' | tr '\\n' '\\0'
    }} 2>/dev/null | xargs -0 -r stat --printf='%f %n\\0' -- 2>/dev/null
    printf '{_END}\\0'
}} | sort -z | uniq -zu
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What the first look at a node gave."""

    digest: str
    """Of the manifest on the node; empty when there is none."""
    present: Mapping[str, int]
    """Path on the node to `stat.st_mode`, of what is not as expected."""
    unmet: frozenset[str]
    """Expected paths that are missing or have another mode."""


def inspect_command() -> Sequence[str]:
    """The command that compares kinds and modes; give it `expected` as its input."""
    return ["sh", "-c", _LOOK]


def expected(manifest: Manifest) -> dict[str, int]:
    """Path on the node to `stat.st_mode`, for every shipped file and the folders above it."""
    modes = {paths.PAYLOAD: _FOLDER, paths.UPLOADED: _FOLDER}
    for entry in manifest.entries:
        path = PurePosixPath(home(entry))
        modes[str(path)] = stat.S_IFREG | entry.mode
        for folder in path.parents:
            if str(folder) in _HOMES.values():
                break
            modes[str(folder)] = _FOLDER
    return modes


def as_input(modes: Mapping[str, int]) -> bytes:
    """The input of the command of `look`."""
    return "\n".join(f"{mode:x} {path}" for path, mode in modes.items()).encode()


def read_look(output: str, modes: Mapping[str, int]) -> Found:
    """What that command said. Raises ValueError when it says something else."""
    digest, *records = output.split("\0")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError(f"the node gave {plain(digest, limit=100)!r} as a digest")
    if records[-2:] != [_END, ""]:
        raise ValueError("the node's answer about the shipped files has no end")
    del records[-2:]
    present: dict[str, int] = {}
    unmet: set[str] = set()
    for record in records:
        match = _RECORD.fullmatch(record)
        if match is None:
            raise ValueError(f"the node listed {plain(record, limit=100)!r}")
        mode, path = int(match[1], 16), match[2]
        if modes.get(path) == mode:
            unmet.add(path)
        else:
            present[path] = mode
    return Found(digest, present, frozenset(unmet))


def hashing(manifest: Manifest, found: Found) -> tuple[Sequence[str], bytes]:
    """The command that names files with another content, and its input: every shipped path that
    is still a plain file (a pipe in its place would be read for ever)."""
    lines = [
        f"{entry.sha256}  {home(entry)}\n"
        for entry in manifest.entries
        if home(entry) not in found.unmet or stat.S_ISREG(found.present.get(home(entry), 0))
    ]
    command = ["env", "LC_ALL=C", "sha256sum", "--check", "--quiet", "--strict"]
    return command, "".join(lines).encode()


def read_hashing(output: str) -> list[str]:
    """The paths that command named."""
    matches = map(_FAILED.fullmatch, output.splitlines())
    return [m[2].replace("\\\\", "\\") if m[1] else m[2] for m in matches if m]


def differences(manifest: Manifest, found: Found, changed: Sequence[str]) -> list[str]:
    """Every path that is not as it was shipped, with how it differs; sorted by path."""
    modes = expected(manifest)
    reported = dict.fromkeys(changed, "was changed")
    for path, message in _moved(modes, found):
        reported[path] = f"{reported[path]} and {message}" if path in reported else message
    sources = {home(entry) for entry in manifest.entries}
    for path, mode in found.present.items():
        if path not in modes and not _is_cache(path, mode, sources):
            reported[path] = "was added"
    return [f"{plain(path, limit=300)} {reported[path]}" for path in sorted(reported)]


def home(entry: PayloadFile) -> str:
    """Where a shipped file lies on the node."""
    root, _, rest = entry.path.partition("/")
    return f"{_HOMES[root]}/{rest}"


def _moved(modes: Mapping[str, int], found: Found) -> Iterator[tuple[str, str]]:
    for path in found.unmet:
        expected, there = modes[path], found.present.get(path)
        if there is None:
            yield path, "is missing"
        elif stat.S_IFMT(there) != stat.S_IFMT(expected):
            yield path, f"is {_KINDS.get(stat.S_IFMT(there), 'a device')} now"
        elif not stat.S_ISDIR(expected):
            yield path, f"has mode {stat.S_IMODE(there):04o}, not {stat.S_IMODE(expected):04o}"


def _is_cache(path: str, mode: int, sources: set[str]) -> bool:
    """Whether Python made it by itself, out of a shipped source."""
    folder, _, name = path.rpartition("/")
    above, _, parent = folder.rpartition("/")
    if parent == "__pycache__" and name.endswith(".pyc") and stat.S_ISREG(mode):
        return f"{above}/{name.partition('.')[0]}.py" in sources
    if name != "__pycache__" or not stat.S_ISDIR(mode):
        return False
    return any(s.startswith(f"{folder}/") and s.endswith(".py") for s in sources)
