"""Deploy: run the payload's entry on the node, survive a cut connection, report its exit.

The entry runs as a transient systemd unit, so it goes on when the connection is cut, and all its
processes can be ended when the time is up.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from spotdeploy.check import CommandResult
from spotdeploy.errors import ShutOutError, UnreachableError
from spotdeploy.model import Phase
from spotdeploy.node import paths
from spotdeploy.node.connection import connect_until
from spotdeploy.phases.facts import deliver_facts, variables
from spotdeploy.phases.reboot import shut_out
from spotdeploy.phases.secrets import deliver, environment_file
from spotdeploy.run.node_run import NodeRun
from spotdeploy.text import plain

UNIT: Final = "spotdeploy-deploy.service"
_ENVIRONMENT: Final = "/run/spotdeploy/deploy.env"
_LOCK: Final = "/run/spotdeploy/deploy.lock"
_LOGIN: Final = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
"""What a login of root has, and a unit has not. The config's own values go before."""
_LOOK: Final = 20
"""Seconds one question waits for the end, so that a dead connection is noticed."""
_PROGRESS: Final = 2
"""Seconds between two looks at an entry's log, for the last line of it to show..."""
_PROGRESS_EACH: Final = 25
"""...with many nodes a second for each so many, so that showing it costs no more with more."""
_LINE: Final = 300
"""Characters of that line."""
_LAST_LINE: Final = (
    f"tail -c 2000 {paths.DEPLOYMENT_LOG} 2>/dev/null | grep -av '^[[:space:]]*$' | tail -n 1"
)
_STOP: Final = 5
"""Seconds that an entry which has had its time gets to end before it is killed."""
_RECONNECT: Final = 60.0
_GOING_DOWN: Final = 0.5
"""Seconds between two questions to a node that is shutting down."""
_STARTED_ALREADY: Final = 75
_NOT_RUN: Final = "flock: failed to execute "
"""How flock begins when there is no such program, or it is for another processor."""


async def deploy(node_run: NodeRun) -> None:
    """Run the entry to its end.

    Raises:
        PayloadError: it exited with something else than 0, did not end in time, or broke the node.
        UnreachableError: the node was lost.
    """
    limit = node_run.config.timeouts.deploy
    async with node_run.in_phase(Phase.DEPLOY):
        await deliver(node_run)
        await deliver_facts(node_run)
        await _start(node_run)
        try:
            async with asyncio.timeout(limit):
                state = await _until_ended(node_run, asyncio.get_running_loop().time() + limit)
        except TimeoutError:
            await node_run.sign_of_life()
            await _persist(node_run, ["systemctl", "stop", UNIT])
            raise node_run.blame_payload(f"the entry did not end within {limit:.0f}s") from None
        if state.get("SubState") != "exited":
            raise node_run.blame_payload(await _why(node_run, state))


def start_script(entry: Sequence[str], *, secrets: bool = False) -> str:
    """The script that starts the entry's command once; its standard input is the environment file,
    which is emptied once systemd has read it. With `secrets`, their variables come with it.

    Starting it a second time (after a lost answer) does nothing. An entry that fails at once may be
    over before systemd has noted that it started; systemd-run then says that it did not, although
    there was a process.
    """
    command = ["flock", "-o", _LOCK, *entry]
    properties = (
        f"EnvironmentFile={_ENVIRONMENT}",
        *((f"EnvironmentFile={paths.SECRETS_ENVIRONMENT}",) if secrets else ()),
        f"WorkingDirectory={paths.PAYLOAD}",
        f"StandardOutput=append:{paths.DEPLOYMENT_LOG}",
        f"StandardError=append:{paths.DEPLOYMENT_LOG}",
        f"TimeoutStopSec={_STOP}",
    )
    launch = [
        *("systemd-run", "--quiet", f"--unit={UNIT}", "--service-type=exec"),
        *("--remain-after-exit", *(f"--property={p}" for p in properties), "--", *command),
    ]
    return (
        f"set -eu; umask 077; mkdir -p /run/spotdeploy; cat > {_ENVIRONMENT}.new; "
        f"[ ! -e {_ENVIRONMENT} ] || exit {_STARTED_ALREADY}; "
        f"mv {_ENVIRONMENT}.new {_ENVIRONMENT}; failed=0; {shlex.join(launch)} || failed=$?; "
        f": > {_ENVIRONMENT}; [ $failed -eq 0 ] || "
        f'[ "$(systemctl show --property=ExecMainPID --value {UNIT})" -gt 0 ]'
    )


def _environment(node_run: NodeRun) -> dict[str, str]:
    return {
        **_LOGIN,
        **node_run.config.payload.environment,
        **node_run.run.project.facts,
        **variables(node_run),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def _start(node_run: NodeRun) -> None:
    command = ["sh", "-c", start_script(node_run.plan.entry, secrets=bool(node_run.plan.secrets))]
    result = await _answer(node_run, command, environment_file(_environment(node_run)))
    if result.exit_code not in (0, _STARTED_ALREADY):
        raise UnreachableError(
            f"{node_run.node.name}: sh: {_message(result)}", phase=node_run.phase
        )


async def _until_ended(node_run: NodeRun, deadline: float) -> dict[str, str]:
    size = ""
    while True:
        left = deadline - asyncio.get_running_loop().time()
        pause = _pause(len(node_run.roster))
        script = _diagnose(min(_LOOK, max(1, int(left))), pause, size)
        text = await _persist(node_run, ["sh", "-c", script])
        state = dict(
            line.partition("=")[::2] for line in text.split("\n")
        )  # only the last one is not ours
        over = state.get("SubState") not in ("running", "start", "start-pre", "stop-sigterm")
        if over and state.get("System") != "stopping":
            return state
        size = state.get("Size", "")
        size = size if size.isdecimal() else ""
        node_run.progress(plain(state.get("Last", ""), limit=_LINE))
        await asyncio.sleep(0.05 if not over else _GOING_DOWN)


def _pause(nodes: int) -> int:
    """Seconds between two looks at the log of one of so many nodes."""
    return min(_LOOK, max(_PROGRESS, nodes // _PROGRESS_EACH))


def _diagnose(seconds: int, pause: int, size: str) -> str:
    """Waits for the entry's end, or until its log has another size at one of the looks. A node that
    is going down ends the entry too: then only the provider knows what that is."""
    return (
        f"log={paths.DEPLOYMENT_LOG}; for _ in $(seq {max(1, seconds // pause)}); do "
        f"flock -w {min(seconds, pause)} {_LOCK} true && break; "
        f'[ "$(stat -c %s $log 2>/dev/null)" = "{size}" ] || break; done; '
        f"systemctl show -p SubState -p Result -p ExecMainCode -p ExecMainStatus {UNIT} && "
        "{ echo System=$(systemctl is-system-running) || true; }; code=$?; "
        'echo "Size=$(stat -c %s $log 2>/dev/null)"; '
        f"printf 'Last=%s\\n' \"$({_LAST_LINE})\"; exit $code"
    )


async def _persist(node_run: NodeRun, command: Sequence[str]) -> str:
    """Run a repeatable command once the payload has begun, and give its output.

    Raises PayloadError when the node, which took commands before, no longer does.
    """
    try:
        result = await _answer(node_run, command)
    except ShutOutError as error:
        raise shut_out(node_run, error, "the entry began") from error
    if result.exit_code != 0:
        await node_run.sign_of_life()
        raise node_run.blame_payload(f"its node no longer runs commands: {_message(result)}")
    return result.stdout


async def _answer(node_run: NodeRun, command: Sequence[str], stdin: bytes = b"") -> CommandResult:
    """Run a repeatable command, reconnecting when the connection is cut under it."""
    while True:
        try:
            return await node_run.connection.run(command, timeout=_LOOK + 20.0, stdin=stdin)
        except UnreachableError:
            await connect_until(node_run.connection, _RECONNECT)


def _message(result: CommandResult) -> str:
    return plain(result.stderr or result.stdout, limit=300)


async def _why(node_run: NodeRun, state: Mapping[str, str]) -> str:
    how = f"the entry exited with {state.get('ExecMainStatus', '?')}"
    if state.get("SubState") == "dead":
        how = "the node restarted before the entry ended"
    elif state.get("Result") not in ("exit-code", None):
        how = f"the entry ended by {state['Result']} ({state.get('ExecMainStatus', '?')})"
    output = plain(await _persist(node_run, ["sh", "-c", _LAST_LINE]), limit=500)
    if output.startswith(_NOT_RUN):
        how, output = "the node cannot run the entry", output.removeprefix(_NOT_RUN)
    return f"{how}: {output}" if output else how
