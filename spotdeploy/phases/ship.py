"""Ship: give the node its own host key, stream the bundle, verify it there, put it in place."""

from __future__ import annotations

import asyncio
import shlex
from string import Template
from typing import Final

import asyncssh

from spotdeploy.errors import NodeError, UnreachableError
from spotdeploy.model import Manifest, Phase
from spotdeploy.node import paths
from spotdeploy.node.exec import read_bounded
from spotdeploy.node.keys import fingerprint, public_key
from spotdeploy.payload.archive import stream
from spotdeploy.payload.manifest import changed_since
from spotdeploy.run.context import Run
from spotdeploy.run.node_run import NodeRun
from spotdeploy.text import plain

_UNREADABLE: Final = "cannot read "
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
export LC_ALL=C
rm -rf $root/incoming
mkdir -p $root/incoming/tree
cd $root/incoming/tree
tar --extract --no-same-owner --preserve-permissions --delay-directory-restore --file -
if [ "$$(sha256sum < manifest | cut -d ' ' -f 1)" != $digest ]; then
    echo "the manifest arrived damaged" >&2
    exit 1
fi
mkdir -p payload uploaded_files
{
    printf '%s\\n' 'file 0644 manifest' 'folder 0755 payload' 'folder 0755 uploaded_files'
    sed 's/^[0-9a-f]\\{64\\} /file /' manifest
} | sort > ../named
find . -mindepth 1 \\( -type f -printf 'file 0%m %P\\n' -o -type d -printf 'folder 0%m %P\\n' \\
    -o -type l -printf 'link 0%m %P\\t%l\\n' -o -printf 'other 0%m %P\\n' \\) | sort > ../found
comm -3 ../named ../found > ../differing
if [ -s ../differing ]; then
    echo "the bundle is not what its manifest names: $$(head -n 3 ../differing)" >&2
    exit 1
fi
sed -n 's/^\\([0-9a-f]\\{64\\}\\) [0-7]* /\\1  /p' manifest > ../files
[ ! -s ../files ] || sha256sum --check --quiet --strict ../files >&2
sync
mv payload $payload
mv uploaded_files $uploaded
mv manifest $manifest
rm -rf $root/incoming
""")


async def ship(node_run: NodeRun) -> None:
    """Rotate the host key and deliver the payload. The manifest is put in place last: a node
    that has it has everything.

    Raises UnreachableError when the connection is cut or the node cannot take the bundle, NodeError
    when it is no longer what was planned.
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
    await node_run.roster.tell(node_run.node, host_key=fingerprint(key))


def _refused(node_run: NodeRun, message: str) -> UnreachableError:
    return UnreachableError(f"{node_run.node.name}: {message}", phase=node_run.phase)


async def deliver(node_run: NodeRun) -> None:
    """Stream the bundle to a node that is connected; see `ship`."""
    manifest = node_run.plan.manifest
    output = bytearray()
    async with node_run.connection.process(["sh", "-c", receive_script(manifest.digest)]) as p:
        _, _, problem = await asyncio.gather(
            read_bounded(p.stdout, bytearray()),
            read_bounded(p.stderr, output),
            _send(p, manifest),
        )
        code = (await p.wait()).exit_status
    if code == 0 and not problem:
        return
    message = plain(output.decode(errors="replace"), limit=400)
    ours = problem.startswith(_UNREADABLE) or b": FAILED" in output
    if ours and (changed := await asyncio.to_thread(changed_here, node_run.run)):
        raise NodeError(
            f"{node_run.node.name}: the payload changed on this computer after the plan was made: "
            f"{changed}",
            phase=node_run.phase,
        )
    raise _refused(node_run, f"{problem or 'the node refused the bundle'}: {message}")


async def _send(process: asyncssh.SSHClientProcess[bytes], manifest: Manifest) -> str:
    """Send the bundle to its end. Gives why that could not be, in a few words."""
    try:
        for chunk in stream(manifest):
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.write_eof()
    except (ConnectionError, asyncssh.DisconnectError):
        return "the node stopped reading"  # its standard error says why
    except OSError as error:
        process.close()
        return f"{_UNREADABLE}{error.filename or error}"
    return ""


def changed_here(run: Run) -> str:
    """What differs from the plan in the payload on this computer, in one line; empty when nothing
    does. Blocks while it reads what has changed."""
    return changed_since(run.project.settings, run.plan.manifest)


def receive_script(digest: str) -> str:
    """The shell script that takes the bundle on its standard input, as root."""
    return _RECEIVE.substitute(
        root=paths.ROOT,
        payload=paths.PAYLOAD,
        uploaded=paths.UPLOADED,
        manifest=paths.MANIFEST,
        digest=shlex.quote(digest),
    )
