"""What is in the image: packages, files and what is taken away. Changing it makes a new image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from spotdeploy_local.image.releases import DEFAULT, RELEASES

USER_DATA = "/var/lib/spotdeploy/user-data"
"""Where a machine finds its user-data."""

_RUN_USER_DATA = f"""\
#!/bin/sh
# Runs a boot hook the way cloud-init does, at every boot before ssh.
set -eu
umask 077
work=/run/spotdeploy
mkdir -p "$work"
if [ -s {USER_DATA} ]; then
    if ! gzip -dc <{USER_DATA} >"$work/user-data" 2>/dev/null; then
        cp {USER_DATA} "$work/user-data"
    fi
    if [ "$(head -n 1 "$work/user-data")" != '#cloud-boothook' ]; then
        echo "user-data: the first line must be #cloud-boothook" >&2
        exit 1
    fi
    tail -n +2 "$work/user-data" >"$work/boothook"
    rm "$work/user-data"
    chmod 0700 "$work/boothook"
    INSTANCE_ID=$(cat /etc/machine-id) "$work/boothook"
fi
if ! grep -qsi '^HostKey' /etc/ssh/sshd_config.d/*.conf && ! [ -e /etc/ssh/ssh_host_ed25519_key ]
then
    ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
fi
"""

_USER_DATA_UNIT = """\
[Unit]
Description=Run this machine's user-data
Before=ssh.service sshd.service
Wants=network.target
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/spotdeploy/user-data
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""

_CLOUD_INIT = """\
datasource:
  Ec2:
    strict_id: false
    timeout: 5
    max_wait: 30
locale: false
apt: { preserve_sources_list: true }
network: { config: disabled }
ssh_genkeytypes: [ ed25519 ]
"""

_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "sudo",
    "iproute2",
    "procps",
    "ca-certificates",
    "curl",
)

_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "getty.target",
    "modprobe@.service",
    "remote-fs.target",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-pstore.service",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image. `base` is another image that it is built upon."""

    packages: tuple[str, ...]
    files: Mapping[str, str]
    programs: tuple[str, ...] = ()
    """Those of `files` that are executable."""
    enabled: tuple[str, ...] = ()
    """Units that multi-user.target wants."""
    masked: tuple[str, ...] = ()
    removed: tuple[str, ...] = field(default=("etc/ssh/ssh_host_*_key*",))
    """Glob patterns, relative to the root."""
    base: Recipe | None = None
    release: str = DEFAULT
    """One of `RELEASES`; empty for an image that an engine builds upon another."""

    @property
    def digest(self) -> str:
        """Names the image: 12 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


BASE = Recipe(
    packages=_PACKAGES,
    files={
        "/usr/lib/spotdeploy/user-data": _RUN_USER_DATA,
        "/etc/systemd/system/spotdeploy-user-data.service": _USER_DATA_UNIT,
    },
    programs=("/usr/lib/spotdeploy/user-data",),
    enabled=("spotdeploy-user-data.service",),
    masked=_MASKED,
)
"""Debian with systemd and sshd; user-data is run by a unit of ours."""

CLOUD_INIT = Recipe(
    packages=("cloud-init",),
    files={"/etc/cloud/cloud.cfg.d/90_spotdeploy.cfg": _CLOUD_INIT},
    base=BASE,
)
"""The same with cloud-init."""


def recipe_of(image: str, *, cloud_init: bool) -> Recipe:
    """The recipe of an image by its name in a config."""
    release = image if image in RELEASES else ""
    base = replace(BASE, release=release)
    return replace(CLOUD_INIT, base=base, release=release) if cloud_init else base
