"""The fixed, read-only commands that show a node's condition: for `debug` and for evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spotdeploy.node import paths


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One command and the file its output is kept in."""

    file: str
    title: str
    command: tuple[str, ...]
    most: int | None = None
    """How many lines it gives at the most; with so many, there may have been more."""


FILE_BYTES: Final = 1 << 20
JOURNAL_LINES: Final = 2000
UNIT_LINES: Final = 1000
KERNEL_LINES: Final = 300


def _shell(line: str) -> tuple[str, ...]:
    return ("sh", "-c", line)


DIAGNOSTICS: Final = (
    Diagnostic(
        "deployment.log",
        "the output of the payload's entry",
        ("tail", "-c", str(FILE_BYTES), "--", paths.DEPLOYMENT_LOG),
    ),
    Diagnostic(
        "failed-units.txt",
        "units that failed",
        ("systemctl", "list-units", "--failed", "--plain", "--no-pager", "--full"),
    ),
    Diagnostic(
        "units.txt",
        "the payload's units",
        _shell(
            f"units=$(cd {paths.PAYLOAD} && find . -name '*.service' -printf '%f\\n')\n"
            "[ -n \"$units\" ] || { echo 'the payload has no units' >&2; exit 1; }\n"
            "systemctl status --no-pager --full --lines=20 $units"
        ),
    ),
    Diagnostic(
        "journal.txt",
        "the journal since boot",
        ("journalctl", "--boot", "--no-pager", f"--lines={JOURNAL_LINES}", "--output=short-iso"),
        JOURNAL_LINES,
    ),
    Diagnostic(
        "cloud-init.txt",
        "cloud-init's own logs",
        _shell(
            "command -v cloud-init >/dev/null || { echo 'no cloud-init here'; exit 0; }; "
            "cloud-init status --long; "
            "tail -c 200000 /var/log/cloud-init.log /var/log/cloud-init-output.log"
        ),
    ),
    Diagnostic("uploaded-files.txt", "the uploaded files", ("ls", "-lanR", paths.UPLOADED)),
    Diagnostic("ports.txt", "listening TCP ports", ("ss", "--listening", "--tcp", "--numeric")),
    Diagnostic("processes.txt", "processes", ("ps", "-eo", "pid,ppid,user,stat,rss,etimes,args")),
    Diagnostic("disk.txt", "disk space", ("df", "-h", "-x", "tmpfs", "-x", "devtmpfs")),
    Diagnostic("memory.txt", "memory", ("cat", "/proc/meminfo")),
    Diagnostic(
        "kernel.txt",
        "the kernel's last messages",
        _shell(f"said=$(dmesg --ctime) && printf '%s\\n' \"$said\" | tail -n {KERNEL_LINES}"),
        KERNEL_LINES,
    ),
)

_UNITS: Final = (
    "set -f\n"
    f"units=$({{ find {paths.PAYLOAD} -type f; "
    "find /etc/systemd/system -maxdepth 1 -type f ! -name 'spotdeploy-*'; } 2>/dev/null | "
    r"sed -n 's|.*/||; /\.\(service\|socket\|timer\|path\)$/p' | sed 's/@\./@*./' | sort -u)"
    "\n[ -n \"$units\" ] || { echo 'the payload has no units' >&2; exit 1; }\n"
)
"""Sets `units` to those that the payload ships or has installed, patterns for templates."""
OF_PAYLOAD: Final = (
    DIAGNOSTICS[0],
    DIAGNOSTICS[1],
    Diagnostic(
        "units.txt",
        "the payload's units",
        _shell(f"{_UNITS}systemctl status --no-pager --full --lines=0 $units"),
    ),
    Diagnostic(
        "journal.txt",
        "the journal of the payload's units since boot",
        _shell(
            f"{_UNITS}journalctl --boot --no-pager --lines={UNIT_LINES} --output=short-iso "
            "$(printf ' --unit=%s' $units)"
        ),
        UNIT_LINES,
    ),
)
"""What tells of the payload alone: nothing of what spotdeploy does on a node, or the system."""
UNITS_SHOWN: Final = 30
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PLAIN: Final = (".txt", ".log", ".json", ".conf")
"""Names that no browser takes for a page or a picture with scripts."""


def diagnostics_for(units: Iterable[str], files: Iterable[str]) -> tuple[Diagnostic, ...]:
    """The fixed looks, the journal of each unit over all its boots, and the end of each file."""
    made = list(DIAGNOSTICS)
    for unit in tuple(units)[:UNITS_SHOWN]:
        file, title = _free(f"journal-{unit}.txt", made), f"the journal of {unit}"
        command = (
            "journalctl",
            "--no-pager",
            f"--lines={UNIT_LINES}",
            "--output=short-iso",
            "--unit",
            unit,
        )
        made.append(Diagnostic(file, title, command, UNIT_LINES))
    for path in files:
        end = ("tail", "-c", str(FILE_BYTES), "--", path)
        made.append(Diagnostic(_free(f"file{path}", made), path, end))
    return tuple(made)


def _free(name: str, taken: Iterable[Diagnostic]) -> str:
    """A file name that is safe in any path, that no browser runs, and that no other look has."""
    safe = _UNSAFE.sub("_", name)[-120:].lstrip(".")
    safe = safe if safe.endswith(_PLAIN) else f"{safe}.txt"
    names = {diagnostic.file for diagnostic in taken}
    numbered = (f"{number}-{safe}" for number in range(2, len(names) + 3))
    return safe if safe not in names else next(name for name in numbered if name not in names)
