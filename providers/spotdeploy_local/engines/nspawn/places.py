"""Where a machine's supervisor puts things for systemd-nspawn: below a folder that is, in the
supervisor's mount namespace, the machine's own."""

from __future__ import annotations

HOME = "/run/systemd/nspawn"
"""systemd-nspawn itself writes here and nowhere else."""
DISK = f"{HOME}/disk"
BINDS = f"{HOME}/binds"
USER_NAMESPACE = f"{HOME}/user"
NETWORK_NAMESPACE = f"{HOME}/network"
PROC = "run/proc"
"""On the machine's disk, where systemd-nspawn covers it with the machine's own /run."""
