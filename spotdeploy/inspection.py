"""The fixed, read-only commands that show a node's condition: for `debug` and for evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spotdeploy import layout


@dataclass(frozen=True, slots=True)
class Look:
    """One command and the file its output is kept in."""

    file: str
    title: str
    command: tuple[str, ...]


def _shell(line: str) -> tuple[str, ...]:
    return ("sh", "-c", line)


LOOKS: Final = (
    Look("deployment.log", "what the payload's entry said",
         _shell(f"tail -c 1000000 {layout.DEPLOYMENT_LOG}")),
    Look("failed-units.txt", "units that failed",
         ("systemctl", "list-units", "--failed", "--plain", "--no-pager", "--full")),
    Look("units.txt", "the payload's units",
         _shell("systemctl status --no-pager --full --lines=20 "
                f"$(cd {layout.PAYLOAD} && find . -name '*.service' -printf '%f\\n')")),
    Look("journal.txt", "the journal since boot",
         ("journalctl", "--boot", "--no-pager", "--lines=2000", "--output=short-iso")),
    Look("cloud-init.txt", "cloud-init's own logs",
         _shell("command -v cloud-init >/dev/null || { echo 'no cloud-init here'; exit 0; }; "
                "cloud-init status --long; "
                "tail -c 200000 /var/log/cloud-init.log /var/log/cloud-init-output.log")),
    Look("uploaded-files.txt", "the uploaded files",
         ("ls", "-lanR", layout.UPLOADED)),
    Look("ports.txt", "listening TCP ports", ("ss", "--listening", "--tcp", "--numeric")),
    Look("processes.txt", "processes", ("ps", "-eo", "pid,ppid,user,stat,rss,etimes,args")),
    Look("disk.txt", "disk space", ("df", "-h", "-x", "tmpfs", "-x", "devtmpfs")),
    Look("memory.txt", "memory", ("cat", "/proc/meminfo")),
    Look("kernel.txt", "the kernel's last messages", _shell("dmesg --ctime 2>&1 | tail -n 300")),
)  # fmt: skip
