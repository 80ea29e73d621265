"""Reboot: restart the node and prove that it happened.

ssh may answer before the node went down, and a container's kernel boot id does not change. The
proof is a random word on a tmpfs, which only a reboot removes.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from spotdeploy.errors import PayloadError, ShutOutError, UnreachableError
from spotdeploy.model import Phase
from spotdeploy.node import paths
from spotdeploy.node.connection import connect_until
from spotdeploy.phases.secrets import deliver
from spotdeploy.phases.settle import wait_for_cloud_init, wait_for_systemd
from spotdeploy.run.node_run import NodeRun, one_line
from spotdeploy.text import plain

GRACE: Final = 60.0
LOGIN_SECONDS: Final = 10.0
SSHD: Final = "/etc/ssh/sshd_config.d/00-spotdeploy.conf"


async def reboot(node_run: NodeRun) -> None:
    """Reboot one node and wait until it has settled again.

    Raises PayloadError when it refuses to, never comes back or does not settle: it did boot
    before the payload changed it.
    """
    limit = node_run.config.timeouts.reboot
    deadline = asyncio.get_running_loop().time() + limit
    async with node_run.in_phase(Phase.REBOOT, limit + GRACE):
        await _go_down(node_run)
        try:
            await _come_back(node_run, deadline)
        except ShutOutError as error:
            raise shut_out(node_run, error, "it came back after the reboot") from error
        except UnreachableError as error:
            raise node_run.blame_payload(
                f"it did not come back after the reboot: {one_line(error, node_run.node)}"
            ) from error
        await _settle(node_run, deadline)
        if node_run.config.payload.secrets_after_reboot:
            await _deliver_again(node_run)


async def log_in_again(node_run: NodeRun) -> None:
    """Where there is no reboot: see that the payload left the way in as it was.

    Raises PayloadError when the node's ssh no longer lets us in, or its port is closed.
    """
    try:
        await connect_until(node_run.connection, LOGIN_SECONDS)
    except ShutOutError as error:
        raise shut_out(node_run, error, "it was deployed") from error
    except UnreachableError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            message = f"it was deployed, and then: {one_line(error, node_run.node)}"
            raise node_run.blame_payload(message) from error
        # no answer of the node's: what follows tries again, and the cloud is asked


def shut_out(node_run: NodeRun, error: ShutOutError, after: str) -> PayloadError:
    """Blame the payload for an ssh that lets us in no more."""
    return node_run.blame_payload(
        f"{after}, but its ssh no longer lets us in: {one_line(error, node_run.node)}; keep "
        f"{SSHD}, the Include of it, and the login of our user"
    )


def go_down_script(word: str) -> str:
    """The script that leaves the word in both places and reboots."""
    return (
        f"set -eu; mkdir -p /run/spotdeploy; echo {word} > {paths.BEFORE_REBOOT}; "
        f"echo {word} > {paths.BEFORE_REBOOT_RUN}; sync {paths.BEFORE_REBOOT}; "
        "systemctl --no-block reboot"
    )


async def _go_down(node_run: NodeRun) -> None:
    script = go_down_script(secrets.token_hex(16))
    try:
        result = await node_run.connection.run(["sh", "-c", script])
    except UnreachableError:
        return  # the connection dies with the node, as it should
    if result.exit_code not in (0, 255):
        await node_run.sign_of_life()
        raise node_run.blame_payload(f"cannot reboot: {plain(result.stderr, limit=200).strip()}")


async def _come_back(node_run: NodeRun, deadline: float) -> None:
    clock = asyncio.get_running_loop().time
    while clock() < deadline:
        try:
            if node_run.connection.connected and await _rebooted(node_run):
                return
        except UnreachableError:
            await node_run.connection.close()
        if node_run.connection.connected:
            await asyncio.sleep(0.1)
        else:
            await node_run.connect_until(deadline - clock())
    raise UnreachableError(
        f"{node_run.node.name}: it has not gone down since the reboot was ordered",
        phase=node_run.phase,
    )


async def _rebooted(node_run: NodeRun) -> bool:
    question = f"test -e {paths.BEFORE_REBOOT_RUN} || echo rebooted"
    result = await node_run.connection.run(["sh", "-c", question], timeout=5.0)
    return result.stdout.strip() == "rebooted"


async def _settle(node_run: NodeRun, deadline: float) -> None:
    left = max(1.0, deadline - asyncio.get_running_loop().time())
    try:
        await wait_for_cloud_init(node_run, left)
        await wait_for_systemd(node_run, left)
    except UnreachableError as error:
        await node_run.sign_of_life()
        message = one_line(error, node_run.node)
        raise node_run.blame_payload(f"it did not settle after the reboot: {message}") from error


async def _deliver_again(node_run: NodeRun) -> None:
    try:
        await deliver(node_run)
    except UnreachableError as error:
        await node_run.sign_of_life()
        message = one_line(error, node_run.node)
        raise node_run.blame_payload(f"after the reboot, it {message}") from error
