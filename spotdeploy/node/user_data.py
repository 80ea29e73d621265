"""The user-data that every node boots with: account, keys, strict sshd, time to live.

It is a `#cloud-boothook`: cloud-init runs it early on every boot, before sshd takes logins
(https://cloudinit.readthedocs.io/en/latest/explanation/format.html), and the local machines run
it the same way. Running it again changes nothing.
"""

from __future__ import annotations

import gzip
import shlex
from dataclasses import dataclass
from string import Template
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.node import paths
from spotdeploy.node.keys import Keys

SHORTEST_LIFE: Final = 60
_SCRIPT: Final = Template("""\
#cloud-boothook
#!/bin/sh
set -eu
umask 022
[ -d /var/log/journal ] || flush=yes
mkdir -p $state /etc/spotdeploy /etc/ssh/sshd_config.d /var/log/journal
chmod 755 /etc/spotdeploy

if ! id -u $user >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash $user
fi
home=$$(getent passwd $user | cut -d: -f6)
mkdir -p "$$home/.ssh" /etc/sudoers.d
printf '%s\\n' $login_key > "$$home/.ssh/authorized_keys"
chmod 700 "$$home/.ssh"
chmod 600 "$$home/.ssh/authorized_keys"
chown -R $user: "$$home/.ssh"
printf '%s ALL=(ALL) NOPASSWD: ALL\\n' $user > /etc/sudoers.d/spotdeploy
chmod 440 /etc/sudoers.d/spotdeploy

if [ ! -s $host_key ]; then
    (umask 077 && printf '%s' $host_private > $host_key)
    printf '%s\\n' $host_public > $host_key.pub
fi
cat > /etc/ssh/sshd_config.d/00-spotdeploy.conf <<'END'
HostKey $host_key
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
AllowAgentForwarding no
AllowStreamLocalForwarding no
AllowTcpForwarding local
X11Forwarding no
MaxSessions 64
MaxStartups 64:30:128
END

if [ ! -s $state/ends-at ]; then
    echo $$(($$(date +%s) + $life)) > $state/ends-at
fi
left=$$(($$(cat $state/ends-at) - $$(date +%s)))
[ "$$left" -le $life ] && [ "$$left" -ge -$life ] || left=$life  # else the clock was set
[ "$$left" -ge $shortest ] || left=$shortest
cat > /etc/systemd/system/spotdeploy-time-to-live.service <<'END'
[Unit]
Description=End this node: its time to live has passed
[Service]
Type=oneshot
ExecStart=/bin/systemctl poweroff --force
END
cat > /etc/systemd/system/spotdeploy-time-to-live.timer <<END
[Unit]
Description=Time to live of this node
DefaultDependencies=no
[Timer]
OnBootSec=$${left}s
AccuracySec=1s
END
[ -z "$${flush:-}" ] || journalctl --flush 2>/dev/null || true
systemctl daemon-reload
systemctl start --no-block spotdeploy-time-to-live.timer
systemctl try-reload-or-restart --no-block ssh.service sshd.service 2>/dev/null || true
""")


@dataclass(frozen=True, slots=True)
class UserData:
    """What goes into user-data."""

    user: str
    keys: Keys
    time_to_live: float
    """Seconds from the node's first boot, by the node's own clock."""

    def script(self) -> str:
        """The script as text."""
        return _SCRIPT.substitute(
            user=shlex.quote(self.user),
            state=paths.STATE,
            login_key=shlex.quote(self.keys.login.public),
            host_key=paths.HOST_KEY,
            host_private=shlex.quote(self.keys.bootstrap_host.private),
            host_public=shlex.quote(self.keys.bootstrap_host.public),
            life=int(self.time_to_live),
            shortest=SHORTEST_LIFE,
        )

    def encode(self, limit: int) -> bytes:
        """The script as bytes, compressed when it would not fit otherwise.

        `limit` is the cloud's, in bytes before base64. Raises ConfigError with both sizes when
        even the compressed script is larger.
        """
        plain = self.script().encode()
        if len(plain) <= limit:
            return plain
        packed = gzip.compress(plain, mtime=0)
        if len(packed) <= limit:
            return packed
        raise ConfigError(
            f"user-data is {len(packed)} bytes even when compressed; this cloud takes {limit}",
            hint="use another provider, or correct its user_data_limit if its cloud takes more",
        )
