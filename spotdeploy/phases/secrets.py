"""Secrets: bring those of the payload to a node's memory, for its entry and its units.

They go over ssh as the standard input of a script, so they stand in no command line, and into files
on a tmpfs that root alone can read: a reboot takes them away.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from spotdeploy.errors import UnreachableError
from spotdeploy.node import paths
from spotdeploy.run.node_run import NodeRun
from spotdeploy.text import plain

SECONDS: Final = 60.0
_DELIVER: Final = f"""
set -eu
umask 077
folder={PurePosixPath(paths.SECRETS).parent}
mkdir -p $folder
if [ "$(stat -f -c %T $folder)" != tmpfs ]; then
    echo "$folder is no tmpfs: secrets would be written to a disk" >&2
    exit 1
fi
cd $folder
rm -rf secrets.new
mkdir secrets.new
tar --extract --no-same-owner --file - --directory secrets.new
rm -rf {paths.SECRETS}
mv secrets.new/secrets {paths.SECRETS}
mv secrets.new/secrets.env {paths.SECRETS_ENVIRONMENT}
rmdir secrets.new
umask 022
mkdir -p /run/systemd/system
printf '%s\\n' '[Unit]' 'Description=The secrets of the payload are there' \\
    > /run/systemd/system/{paths.SECRETS_TARGET}
systemctl daemon-reload
systemctl start --no-block {paths.SECRETS_TARGET}
"""


async def deliver(node_run: NodeRun) -> None:
    """Put the payload's secrets on the node and start the target that waits for them. May be
    repeated; does nothing where there are none.

    Raises UnreachableError when the connection is cut or the node cannot take them.
    """
    secrets = node_run.plan.secrets
    if not secrets:
        return
    result = await node_run.connection.run(
        ["sh", "-c", _DELIVER], timeout=SECONDS, stdin=bundle(secrets)
    )
    if result.exit_code != 0:
        message = plain(result.stderr, limit=300) or f"exit code {result.exit_code}"
        raise UnreachableError(
            f"{node_run.node.name}: cannot take the secrets: {message}", phase=node_run.phase
        )


def bundle(secrets: Mapping[str, str]) -> bytes:
    """The files as a tar: one for each secret, as it is, and one for all, as variables."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("secrets")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(folder)
        files = {f"secrets/{name}": value.encode() for name, value in secrets.items()}
        for path, data in {**files, "secrets.env": environment_file(secrets)}.items():
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o600, len(data)
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def environment_file(values: Mapping[str, str]) -> bytes:
    """Variables as systemd's EnvironmentFile= wants them."""
    lines = []
    for name, value in values.items():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'{name}="{quoted.replace("`", chr(92) + "`")}"\n')
    return "".join(lines).encode()
