"""What of a payload nothing could read: syntax faults of its Python, its shell scripts, its units.

Only what is wrong wherever it is read is told. What may be right for another version of Python, of
a shell or of systemd, what is filled in later (templates) and what is not meant for these is not.
Nothing of the payload is run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from spotdeploy.model import Manifest, PayloadFile
from spotdeploy.payload.manifest import dependency_folders

LARGEST: Final = 1 << 20
"""Bytes of a file; a larger one is not written by hand, and takes long to read."""
SECONDS: Final = 20.0
"""For one shell, or for systemd-analyze."""
UNITS: Final = (
    *(".service", ".socket", ".timer", ".path", ".target", ".slice"),
    *(".mount", ".automount", ".swap"),
)
_PYTHON: Final = re.compile(r"python(3(\.\d+)?)?")
_TEMPLATE: Final = re.compile(rb"\{%|\{\{|<%|^@[A-Z_]+@", re.MULTILINE)
_BECOMES_ANOTHER: Final = re.compile(rb"(?:^|[;&|])[\s'\":]*exec\b.*\$\{?0", re.MULTILINE)
"""A shell script that lets another interpreter read the rest of itself."""
_SHELL: Final = re.compile(
    r"(?:line )?(?P<line>\d+): (?P<what>.*(?:syntax error|unexpected EOF|end of file).*)",
    re.IGNORECASE,
)
_PARSES: Final = {
    "bash": '[ "${BASH_VERSINFO[0]}" -ge 4 ] || exit 0; exec "$BASH" -n -O extglob -- "$1"',
    "sh": 'exec sh -n -- "$1"',
}
"""By which line each shell reads a script without running it. macOS has a bash of 2007 that lacks
half of the language; extended patterns are turned on by a line that -n does not run."""
_UNIT: Final = re.compile(r"(?P<path>/.*):(?P<line>\d+): (?P<what>.*)")
_NO_UNIT: Final = (
    "Missing '='",
    "Missing key name before '='",
    "Assignment outside of section",
    "Invalid section header",
    "Unbalanced quoting",
)
"""How systemd says that a line is none of a unit's, whatever keys and values it knows: `parse_line`
in its src/shared/conf-parser.c, and src/core/load-fragment.c."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    path: Path
    """On this computer."""
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}"


def find_faults(manifest: Manifest) -> list[Fault]:
    """The first fault of each file that is shipped, in the order of their paths. Of folders that
    are made for one computer, such as `.venv`, nothing is read. Blocks while it reads."""
    theirs = tuple(f"{folder}/" for folder in dependency_folders(manifest))
    files = [one for one in manifest.files if not one.path.startswith(theirs)]
    shells = {name: path for name in _PARSES if (path := shutil.which(name))}
    found = [fault for file in files if (fault := _fault(file, shells))]
    found += _unit_faults(files)
    return sorted(found, key=lambda fault: fault.path)


def _fault(file: PayloadFile, shells: dict[str, str]) -> Fault | None:
    suffix = PurePosixPath(file.path).suffix
    if not 0 < file.size <= LARGEST or suffix in UNITS:
        return None
    try:
        with file.source.open("rb") as content:
            first = content.readline(256)
            kind = _kind(first, suffix)
            data = first + content.read() if kind else b""
    except OSError:
        return None  # it went away since it was listed; shipping tells
    fault = None
    if kind == "python":
        fault = _python_fault(file.source, data)
    elif kind and b"\0" not in data and not _BECOMES_ANOTHER.search(data):
        fault = _shell_fault(file.source, kind, shells)
    return None if fault and _TEMPLATE.search(data) else fault


def _kind(first: bytes, suffix: str) -> str:
    """What reads a file, by its first line and the end of its name: "python", "bash", "sh" or
    nothing that is known."""
    if not first.startswith(b"#!"):
        return {".py": "python", ".bash": "bash", ".sh": "sh"}.get(suffix, "")
    words = os.fsdecode(first[2:]).split()
    if words and PurePosixPath(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S"]
    name = PurePosixPath(words[0]).name if words else ""
    if _PYTHON.fullmatch(name):
        return "python"
    return {"bash": "bash", "sh": "sh", "dash": "sh"}.get(name, "")


def _python_fault(path: Path, data: bytes) -> Fault | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as those of escapes in texts
            compile(data, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        here = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
        return Fault(path, error.lineno or 1, f"{error.msg} ({here})")
    except ValueError as error:
        return Fault(path, 1, str(error))
    except (RecursionError, MemoryError):
        return None  # too deep for this process, which says nothing about others
    return None


def _shell_fault(path: Path, kind: str, shells: dict[str, str]) -> Fault | None:
    """What every shell that may run the script stumbles over: /bin/sh is dash on one system and
    bash on another, and a file without a first line may be meant for either."""
    readers = [name for name in (("bash",) if kind == "bash" else ("sh", "bash")) if name in shells]
    faults = [_read_by(name, shells[name], path) for name in readers]
    return faults[0] if faults and all(faults) else None


def _read_by(name: str, shell: str, path: Path) -> Fault | None:
    output = _errors_of([shell, "-c", _PARSES[name], name, str(path)])
    found = _SHELL.search(output.replace(f"{path}: ", ""))
    return Fault(path, int(found["line"]), f"{found['what']} ({name} -n)") if found else None


def _unit_faults(files: Iterable[PayloadFile]) -> Iterator[Fault]:
    """The first fault of each unit, as this computer's systemd tells it, where there is one."""
    analyze = shutil.which("systemd-analyze")
    folders: dict[Path, list[Path]] = {}
    for file in files if analyze else ():
        if PurePosixPath(file.path).suffix in UNITS and _is_unit(file):
            folders.setdefault(file.source.parent, []).append(file.source)
    for units in folders.values():  # of two units of one name, it reads one
        told: set[str] = set()
        command = [str(analyze), "verify", "--man=no", *map(str, units)]
        for found in map(_UNIT.fullmatch, _errors_of(command).splitlines()):
            if found is None or found["path"] in told or Path(found["path"]) not in units:
                continue
            if found["what"].startswith(_NO_UNIT):
                told.add(found["path"])
                what = found["what"].partition(", ignoring")[0].removesuffix(" Ignoring.")
                yield Fault(Path(found["path"]), int(found["line"]), f"{what} (systemd-analyze)")


def _is_unit(file: PayloadFile) -> bool:
    """Whether a file is one of systemd's: those of D-Bus and Avahi have the same endings."""
    if not 0 < file.size <= LARGEST:
        return False
    try:
        data = file.source.read_bytes()
    except OSError:
        return False  # as above
    kind = file.source.suffix[1:].capitalize().encode()
    headers = (b"[Unit]", b"[Install]", b"[%s]" % kind)
    return any(line.strip() in headers for line in data.splitlines()) and not (
        _TEMPLATE.search(data)
    )


def _errors_of(command: Sequence[str]) -> str:
    """The error output of a command that ends by itself; empty when it cannot be run or takes too
    long."""
    plain = {"LC_ALL": "C", "SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_LEVEL": "warning"}
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            env={**os.environ, **plain, "SYSTEMD_COLORS": "0", "BASH_ENV": "", "ENV": ""},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stderr.decode(errors="replace")
