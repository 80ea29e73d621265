"""A hook of podman's: gives a machine's root systemd's own control group, on hosts of version 1.

With version 2 a container's runtime does so itself; with version 1 none does, and systemd in a user
namespace could not make a group. Writing to this tree, which has no controller, is safe:
https://systemd.io/CGROUP_DELEGATION/.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

TREE: Final = Path("/sys/fs/cgroup/systemd")

# https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks
_HOOK: Final = f"""\
#!/bin/sh
set -eu
pid=$(sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')
group={TREE}$(sed -n 's/^[0-9]*:name=systemd://p' "/proc/$pid/cgroup")
read -r _ owner _ <"/proc/$pid/uid_map"
chown "$owner:$owner" "$group" "$group/cgroup.procs" "$group/tasks"
"""


def write(folder: Path) -> None:
    """Put the hook into a folder of hooks, where it is needed. May be repeated."""
    if sys.platform != "linux" or os.geteuid() != 0 or not (TREE / "cgroup.procs").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    program = folder / "systemd-group"
    _put(program, _HOOK, 0o700)
    found = {"path": str(program)}
    content = {
        "version": "1.0.0",
        "hook": found,
        "when": {"always": True},
        "stages": ["createRuntime"],
    }
    _put(folder / "systemd-group.json", json.dumps(content), 0o600)


def _put(file: Path, text: str, mode: int) -> None:
    """Write a file whole: podman may be reading it for another machine."""
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.chmod(mode)
    part.rename(file)
