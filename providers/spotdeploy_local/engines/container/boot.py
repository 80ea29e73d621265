"""What a container needs to boot as a machine does: pure functions."""

from __future__ import annotations

import io
import math
import tarfile
from collections.abc import Mapping
from typing import Final

from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.machine_dir.write import first_files

INIT: Final = "/usr/lib/spotdeploy/init"
"""The container's command."""
_BOOT = "/usr/lib/spotdeploy/boot"
_SECONDS = "/var/lib/spotdeploy/seconds"
_OF_ENGINE = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
"""Files that engines mount into their containers."""

_INIT_TEXT: Final = f"""\
#!/bin/sh
# Process 1 of a container: boots systemd in namespaces of its own, where nothing can reach this
# process, and again when it has called reboot(2), which ends it by SIGHUP.
code=129
end=
[ ! -s {_SECONDS} ] || end=$(($(date +%s) + $(cat {_SECONDS})))
while [ "$code" -eq 129 ]; do
    left=0
    if [ -n "$end" ]; then
        left=$((end - $(date +%s)))
        [ "$left" -gt 0 ] || exit 0
    fi
    timeout --foreground --signal=KILL "$left" \\
        unshare --mount --pid --ipc --uts --fork --kill-child --mount-proc /bin/sh {_BOOT}
    code=$?
done
[ "$code" -ne 130 ] || exit 0 # it powered itself off: SIGINT
[ -z "$end" ] || [ "$(date +%s)" -lt "$end" ] || exit 0
exit "$code"
"""

_BOOT_TEXT: Final = """\
# Process 1 of a boot: what a machine finds empty is empty, then it becomes systemd.
set -e
if [ "$container" = docker ]; then # which mounts control groups read-only
    for group in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
        [ ! -e "$group/cgroup.procs" ] || mount -o remount,bind,rw "$group"
    done
fi
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -m 755 /run/lock
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /run/lock
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
exec env -i container="$container" TERM=linux PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""


def boot_files(spec: MachineSpec, address: str) -> Mapping[str, tuple[bytes, int]]:
    """Path to content and mode of what is put into a container before its first boot."""
    first = first_files(spec, address)
    ours = {name: text for name, text in first.items() if name not in _OF_ENGINE}
    files = {
        name: (text, 0o644 if name.startswith("/etc/") else 0o600) for name, text in ours.items()
    }
    files |= {name: (text, 0o600) for name, text in spec.files.items()}
    files |= {
        INIT: (_INIT_TEXT.encode(), 0o755),
        _BOOT: (_BOOT_TEXT.encode(), 0o755),
    }
    if spec.time_to_live is not None:
        files[_SECONDS] = (f"{whole_seconds(spec.time_to_live)}\n".encode(), 0o600)
    return files


def whole_seconds(seconds: float) -> int:
    """Engines count in whole seconds, at least one."""
    return max(1, math.ceil(seconds))


def archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """A tar archive of these files, all of them root's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
