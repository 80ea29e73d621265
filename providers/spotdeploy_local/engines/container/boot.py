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
_POWER = "/var/lib/spotdeploy/power"
_SECONDS = "/var/lib/spotdeploy/seconds"
_SHUTDOWN = "/usr/lib/systemd/system-shutdown/spotdeploy"
_OF_ENGINE = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
"""Files that engines mount into their containers."""

_INIT_TEXT: Final = f"""\
#!/bin/sh
# Process 1 of a container, which becomes systemd. The engine starts the container again after a
# reboot; one that has powered itself off, or whose time to live is over, ends here for good.
power={_POWER}
end=/var/lib/spotdeploy/end
case "$(cat "$power")" in poweroff | halt) exit 0 ;; esac
if [ -s {_SECONDS} ]; then
    [ -s "$end" ] || echo $(($(date +%s) + $(cat {_SECONDS}))) >"$end"
    left=$(($(cat "$end") - $(date +%s)))
    [ "$left" -gt 0 ] || exit 0
    # SIGRTMIN+14 powers off at once: https://www.freedesktop.org/software/systemd/man/systemd.html
    (sleep "$left"; echo poweroff >"$power"; kill -48 1) </dev/null >/dev/null 2>&1 &
fi
echo on >"$power"
exec /sbin/init
"""

_SHUTDOWN_TEXT: Final = f"""\
#!/bin/sh
# systemd-shutdown says here how the machine ends: reboot, poweroff or halt.
echo "$1" >{_POWER}
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
        _SHUTDOWN: (_SHUTDOWN_TEXT.encode(), 0o755),
        _POWER: (b"on\n", 0o600),
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
