"""Ship: give the node its own host key, stream the bundle, verify it there, put it in place."""

from __future__ import annotations

import shlex
from string import Template
from typing import Final

import asyncssh

from spotdeploy.errors import UnreachableError
from spotdeploy.model import Phase
from spotdeploy.node import paths
from spotdeploy.node.keys import public_key
from spotdeploy.payload.archive import stream
from spotdeploy.run.node_run import NodeRun
from spotdeploy.text import plain

_ROTATE: Final = f"""
set -eu
umask 077
rm -f {paths.HOST_KEY}.new {paths.HOST_KEY}.new.pub
ssh-keygen -q -t ed25519 -N '' -C '' -f {paths.HOST_KEY}.new
mv {paths.HOST_KEY}.new.pub {paths.HOST_KEY}.pub
mv {paths.HOST_KEY}.new {paths.HOST_KEY}
systemctl try-reload-or-restart ssh.service 2>/dev/null \\
    || systemctl try-reload-or-restart sshd.service
cat {paths.HOST_KEY}.pub
"""
_RECEIVE: Final = Template("""
set -eu
umask 022
for taken in $payload $uploaded; do
    if [ -e $$taken ]; then
        echo "$$taken is already there; nodes are never changed, only replaced" >&2
        exit 1
    fi
done
rm -rf $root/incoming
mkdir -p $root/incoming
cd $root/incoming
tar --extract --no-same-owner --preserve-permissions --file -
if [ "$$(sha256sum < manifest | cut -d ' ' -f 1)" != $digest ]; then
    echo "the manifest arrived damaged" >&2
    exit 1
fi
if [ -n "$$(find . ! -type d ! -type f)" ] \\
    || [ "$$(find . -type f | wc -l)" -ne $$(($$(wc -l < manifest) + 1)) ]; then
    echo "the bundle holds something that its manifest does not name" >&2
    exit 1
fi
sed 's/^\\([0-9a-f]*\\) [0-7]* /\\1  /' manifest > files
[ ! -s files ] || sha256sum --check --quiet --strict files >&2
rm files
mkdir -p payload uploaded_files
chmod 755 payload uploaded_files
sync
mv payload $payload
mv uploaded_files $uploaded
mv manifest $manifest
rmdir $root/incoming
""")


async def ship(node_run: NodeRun) -> None:
    """Rotate the host key and deliver the payload. The manifest is put in place last: a node
    that has it has everything.

    Raises UnreachableError when the connection is cut or the node cannot take the bundle.
    """
    async with node_run.in_phase(Phase.SHIP, node_run.config.timeouts.ship):
        await _rotate_host_key(node_run)
        await deliver(node_run)


async def _rotate_host_key(node_run: NodeRun) -> None:
    result = await node_run.connection.run(["sh", "-c", _ROTATE])
    if result.exit_code != 0:
        raise _refused(node_run, f"cannot make its own host key: {plain(result.stderr, limit=300)}")
    try:
        key = public_key(result.stdout)
    except ValueError as error:
        raise _refused(node_run, f"cannot make its own host key: {error}") from error
    if key == public_key(node_run.connection.host_key):
        raise _refused(
            node_run,
            "it gave the host key of its user-data for its own: whoever reads user-data has that "
            "key, so it may not be the node that answers",
        )
    node_run.connection.host_key = key
    node_run.run.journal.pin(node_run.node, key)


def _refused(node_run: NodeRun, message: str) -> UnreachableError:
    return UnreachableError(f"{node_run.node.name}: {message}", phase=node_run.phase)


async def deliver(node_run: NodeRun) -> None:
    """Stream the bundle to a node that is connected; see `ship`."""
    async with node_run.connection.process(
        ["sh", "-c", receive_script(node_run.plan.manifest.digest)]
    ) as p:
        try:
            for chunk in stream(node_run.plan.manifest):
                p.stdin.write(chunk)
                await p.stdin.drain()
            p.stdin.write_eof()
        except (BrokenPipeError, asyncssh.DisconnectError):
            message = "the node stopped reading"  # its standard error says why
        else:
            message = "the node refused the bundle"
        done = await p.wait()
    if done.exit_status != 0:
        output = plain(_text(done.stderr), limit=400)
        raise _refused(node_run, f"{message}: {output}")


def _text(output: bytes | str | None) -> str:
    return output if isinstance(output, str) else (output or b"").decode(errors="replace")


def receive_script(digest: str) -> str:
    """The shell script that takes the bundle on its standard input, as root."""
    return _RECEIVE.substitute(
        root=paths.ROOT,
        payload=paths.PAYLOAD,
        uploaded=paths.UPLOADED,
        manifest=paths.MANIFEST,
        digest=shlex.quote(digest),
    )
