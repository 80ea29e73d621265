"""Where things lie on a node. Every path the core, the checks and the payload agree on."""

from __future__ import annotations

from typing import Final

ROOT: Final = "/opt/spotdeploy"
PAYLOAD: Final = f"{ROOT}/payload"
UPLOADED: Final = "/opt/uploaded_files"
MANIFEST: Final = f"{ROOT}/manifest"
"""The text of the payload's manifest; its sha256 is the payload's digest."""
NODES: Final = f"{ROOT}/nodes.json"
"""What a node knows of itself and of the others when its entry starts."""
DEPLOYMENT_LOG: Final = "/opt/deployment.log"

STATE: Final = "/var/lib/spotdeploy"
"""Survives reboots."""
SESSIONS: Final = f"{STATE}/sessions"
"""One line for each ssh connection of spotdeploy's own: client address and port, as sshd sees
them. An ssh session from anywhere else was opened by hand."""
TOUCHED: Final = f"{STATE}/touched"
"""Exists once `spotdeploy ssh` was used; holds who and when."""
BEFORE_REBOOT: Final = f"{STATE}/before-reboot"
"""A random word written before the reboot..."""
BEFORE_REBOOT_RUN: Final = "/run/spotdeploy/before-reboot"
"""...and the same word on a tmpfs: while it is there, the node has not rebooted."""
SECRETS: Final = "/run/spotdeploy/secrets"
"""A folder on a tmpfs, with a file for each of the payload's secrets."""
SECRETS_ENVIRONMENT: Final = "/run/spotdeploy/secrets.env"
"""The same as variables, for EnvironmentFile=."""
SECRETS_TARGET: Final = "spotdeploy-secrets.target"
"""Active once the secrets are there."""
HOST_KEY: Final = "/etc/spotdeploy/host_key"
"""The sshd host key in use: from user-data at first, made on the node after first contact."""
