"""Deploy: run the payload's entry on the node, survive a cut connection, report its exit.

The entry runs as a transient systemd unit, so it goes on when the connection is cut, and all its
processes can be ended when the time is up.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy import layout
from spotdeploy.errors import UnreachableError
from spotdeploy.noderun import NodeRun
from spotdeploy.ssh import connect_until
from spotdeploy.text import plain

UNIT: Final = "spotdeploy-deploy.service"
_ENVIRONMENT: Final = "/run/spotdeploy/deploy.env"
_LOCK: Final = "/run/spotdeploy/deploy.lock"
_LOOK: Final = 20
"""Seconds one question waits for the end, so that a dead connection is noticed."""
_RECONNECT: Final = 60.0
_STARTED_ALREADY: Final = 75


async def deploy(run: NodeRun) -> None:
    """Run the entry to its end.

    Raises:
        PayloadError: it exited with something else than 0, or did not end in time.
        UnreachableError: the node was lost.
    """
    limit = run.session.settings.config.timeouts.deploy
    async with run.in_phase("deploy"):
        await _persist(run, ["sh", "-c", start_script(run.session.settings.config.payload.entry)],
                       environment_file(_environment(run)))  # fmt: skip
        try:
            async with asyncio.timeout(limit):
                state = await _until_ended(run)
        except TimeoutError:
            await _persist(run, ["systemctl", "stop", UNIT])
            raise run.blame_payload(f"the entry did not end within {limit:.0f}s") from None
        if state.get("SubState") != "exited":
            raise run.blame_payload(await _why(run, state))


def start_script(entry: str) -> str:
    """The script that starts the entry once; its standard input is the environment file.

    Starting it a second time (after a lost answer) does nothing.
    """
    command = ["flock", "-o", _LOCK, *interpreter(f"{layout.PAYLOAD}/{entry}")]
    properties = (
        f"EnvironmentFile={_ENVIRONMENT}",
        f"WorkingDirectory={layout.PAYLOAD}",
        f"StandardOutput=append:{layout.DEPLOYMENT_LOG}",
        f"StandardError=append:{layout.DEPLOYMENT_LOG}",
    )
    launch = [
        *("systemd-run", "--quiet", f"--unit={UNIT}", "--service-type=exec"),
        *("--remain-after-exit", *(f"--property={p}" for p in properties), "--", *command),
    ]
    return (
        f"set -eu; umask 077; mkdir -p /run/spotdeploy; cat > {_ENVIRONMENT}.new; "
        f"[ ! -e {_ENVIRONMENT} ] || exit {_STARTED_ALREADY}; "
        f"mv {_ENVIRONMENT}.new {_ENVIRONMENT}; {shlex.join(launch)}"
    )


def interpreter(path: str) -> Sequence[str]:
    """How an entry is run: Python and shell scripts by their ending, all else by itself."""
    if path.endswith(".py"):
        return ("/usr/bin/python3", "-B", path)
    return ("/bin/sh", path) if path.endswith(".sh") else (path,)


def environment_file(values: Mapping[str, str]) -> bytes:
    """Variables as systemd's EnvironmentFile= wants them."""
    lines = []
    for name, value in values.items():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'{name}="{quoted.replace("`", chr(92) + "`")}"\n')
    return "".join(lines).encode()


def _environment(run: NodeRun) -> dict[str, str]:
    return {
        **run.session.settings.config.payload.environment,
        "SPOTDEPLOY_DEPLOYMENT": run.session.deployment,
        "SPOTDEPLOY_RUN": run.session.run,
        "SPOTDEPLOY_NODE_ID": run.node.id,
        "SPOTDEPLOY_NODE_NAME": run.node.name,
        "SPOTDEPLOY_PROVIDER": run.node.provider,
        "SPOTDEPLOY_LOCATION": run.node.location,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def _until_ended(run: NodeRun) -> dict[str, str]:
    look = (
        f"flock -w {_LOOK} {_LOCK} true; "
        f"systemctl show -p SubState -p Result -p ExecMainCode -p ExecMainStatus {UNIT}"
    )
    while True:
        text = await _persist(run, ["sh", "-c", look])
        state = dict(line.partition("=")[::2] for line in text.splitlines())
        if state.get("SubState") not in ("running", "start", "start-pre"):
            return state
        await asyncio.sleep(0.05)


async def _persist(run: NodeRun, command: Sequence[str], stdin: bytes = b"") -> str:
    """Run a repeatable command, reconnecting when the connection is cut under it."""
    while True:
        try:
            result = await run.connection.run(command, timeout=_LOOK + 20.0, stdin=stdin)
        except UnreachableError:
            await connect_until(run.connection, _RECONNECT)
            continue
        if result.exit_code not in (0, _STARTED_ALREADY):
            words = plain(result.stderr or result.stdout, limit=300)
            raise UnreachableError(f"{run.node.name}: {command[0]}: {words}", phase=run.phase)
        return result.stdout


async def _why(run: NodeRun, state: Mapping[str, str]) -> str:
    how = f"the entry exited with {state.get('ExecMainStatus', '?')}"
    if state.get("Result") not in ("exit-code", None):
        how = f"the entry ended by {state['Result']} ({state.get('ExecMainStatus', '?')})"
    last = f"tail -c 2000 {layout.DEPLOYMENT_LOG} | grep -av '^[[:space:]]*$' | tail -n 1"
    said = plain(await _persist(run, ["sh", "-c", last]), limit=500)
    return f"{how}: {said}" if said else how
