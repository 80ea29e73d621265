"""A command on a node that can read everything there and change nothing.

It runs as a transient unit of systemd: as a user that owns nothing and has no process, with the one
capability to read what others may not. All file systems are read-only to it, /tmp and /var/tmp are
empty, small and its own, and so is the network. Of the sockets and pipes of the node's services it
reaches the system bus alone, where it is a stranger; `systemctl status` needs that. Where polkit
is, which lets strangers have a user manager of their own (org.freedesktop.login1.set-self-linger),
it does not.

https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

TMP: Final = "64M"
"""What fits into /tmp, and into /var/tmp."""
MEMORY: Final = "512M"
HIDDEN: Final = "without bus"
"""Stands behind the mark where the system bus cannot be reached."""
_BUS: Final = "/run/dbus/system_bus_socket"
_POLKIT: Final = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
_WHERE: Final = "/run /var /srv /opt /home /root"
_DEPTH: Final = 5
"""Where pipes and sockets are looked for; those that are open are known to the kernel."""
_USERS: Final = ("games", "news", "ftp", "nobody")
"""Accounts that distributions have and hardly anything runs as. The system bus lets nobody in who
has no account, so a user of systemd's own making (DynamicUser=) is the last resort."""
_READING: Final = "CAP_DAC_READ_SEARCH"
_TMPFS: Final = f"mode=1777,size={TMP}"
_CALLS: Final = (
    *("@debug", "@keyring", "@module", "@mount", "@raw-io", "@reboot", "@swap"),
    *("bpf", "io_uring_setup", "open_by_handle_at", "perf_event_open"),
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
)
"""Refused: what changes the system, what goes around the rules below, and what processes share
without a file."""
_PROPERTIES: Final = (
    f"AmbientCapabilities={_READING}",
    f"CapabilityBoundingSet={_READING}",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateDevices=yes",
    "ReadOnlyPaths=-/dev/shm -/dev/mqueue /proc /sys",
    "InaccessiblePaths=-/run/user -/dev/pts",
    f"TemporaryFileSystem=/tmp:{_TMPFS} /var/tmp:{_TMPFS}",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    f"SystemCallFilter=~{' '.join(_CALLS)}",
    "SystemCallErrorNumber=EPERM",
    f"MemoryMax={MEMORY}",
    "TasksMax=256",
    "OOMScoreAdjust=1000",
    "Nice=10",
    "TimeoutStopSec=2",
)
"""Not MountAPIVFS=, nor what implies it, such as ProtectControlGroups=: that mounts /run anew, to
be written to."""
_ALONE: Final = ("PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX")
_ONLINE: Final = ("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",)
_LEEWAY: Final = 5.0
"""Seconds after the command's time by which systemd ends the unit, if that was not enough."""

_LAUNCH: Final = f"""
export LC_ALL=C
for user in {" ".join(_USERS)} ''; do
    id -u "$user" >/dev/null 2>&1 || continue
    [ -n "$(find /proc -maxdepth 1 -user "$user" -print -quit 2>/dev/null)" ] || break
done
[ -n "$user" ] && as="User=$user" || as=DynamicUser=yes
doors=$(
    {{
        cat /proc/[0-9]*/net/unix 2>/dev/null | sed -n 's#^[^/]* \\(/.*\\)$#\\1#p'
        find {_WHERE} -xdev -maxdepth {_DEPTH} '(' -type p -o -type s ')' 2>/dev/null
    }} | sort -u | sed 's/["\\\\]/\\\\&/g'
)
IFS='
'
set -f
for door in $doors; do
    [ "$door" != {_BUS} ] || [ -e {_POLKIT} ] || continue
    set -- "--property=InaccessiblePaths=-\\"$door\\"" "$@"
done
exec systemd-run --quiet --pipe --wait --collect --description='spotdeploy run' \\
    "--property=$as" "$@"
"""
_ENTER: Final = f"""
root=
while read -r _ _ _ _ point how _; do
    [ "$point" != / ] || root=$how
done < /proc/self/mountinfo
case $root in
    ro | ro,*) ;;
    *) echo 'its file system is not read-only' >&2; exit 1 ;;
esac
if [ "$(id -u)" = 0 ]; then
    echo 'it would run as root' >&2
    exit 1
fi
[ -w {_BUS} ] && hidden= || hidden=' {HIDDEN}'
printf '%s%s\\n' "$1" "$hidden" >&2
shift
timeout --kill-after=1 "$@"
exit $?
"""
"""Looks whether it is in the sandbox, says the mark, and runs the command. It stays until that has
ended: systemd takes an end by SIGTERM for a good one."""


def sandboxed(
    command: Sequence[str], mark: str, *, seconds: float, network: bool = False
) -> list[str]:
    """The command, to be run as root, that runs another one in the sandbox, for so many seconds at
    most, and exits as that one does (124 when its time was up). With `network` it has the node's.

    `mark` begins a line on its error output once the sandbox stands, and `HIDDEN` may end it; what
    comes before is why it does not.
    """
    properties = [*_PROPERTIES, *(_ONLINE if network else _ALONE)]
    properties.append(f"RuntimeMaxSec={seconds + _LEEWAY:g}s")
    inside = ["/bin/sh", "-c", _ENTER, "sh", mark, f"{seconds:g}", *command]
    return [
        *("sh", "-c", _LAUNCH, "sh"),
        *(f"--property={one}" for one in properties),
        *("--", *(word.replace("$", "$$") for word in inside)),  # systemd expands $NAME
    ]
