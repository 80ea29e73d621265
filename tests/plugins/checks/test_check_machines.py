"""The checks on a real machine: its own systemd, sshd, journal and reboots."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest

from spotdeploy.check import CheckResult
from spotdeploy.errors import UnreachableError
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.exec import CLOSING, GRACE
from spotdeploy.node.shells import Shells
from spotdeploy_checks.drift import ELSEWHERE
from spotdeploy_checks.http import HttpCheck
from spotdeploy_checks.log import LogCheck
from spotdeploy_checks.payload import PayloadCheck
from spotdeploy_checks.rebooted import RebootedCheck
from spotdeploy_checks.systemd import SystemdCheck
from spotdeploy_checks.tcp import TcpCheck
from tests.plugins.checks.machine import RealNode, booted

pytestmark = pytest.mark.machines

UNIT = """
cat > /etc/systemd/system/{name}.service <<'END'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh -c '{run}'
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet --now {name}.service
"""

BRIEF = """
cat > /run/{name}.py <<'END'
import socket
with socket.create_server(("0.0.0.0", {port})) as server:
    while True:
        client, _ = server.accept()
        client.sendall(b"{say}")
        client.close()
END
systemd-run --quiet --unit={name} python3 /run/{name}.py
until ss --listening --tcp --numeric | grep -q :{port}; do sleep 0.05; done
"""
SESSIONS = 10
"""How many of them sshd allows a connection, when its MaxSessions is not set."""


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealNode]:
    async with booted(tmp_path) as node:
        yield node


async def payload_words(real: RealNode) -> str:
    """What the payload check says of a node that is not as it should be."""
    return (await real.ask_until(settled, PayloadCheck)).detail


def passed(result: CheckResult) -> bool:
    return result.ok


def settled(result: CheckResult) -> bool:
    """Failed for good. A passing answer is an error: it would not be asked again."""
    assert not result.ok, result
    return result.final


async def test_a_node_passes_before_and_after_its_reboot(real: RealNode) -> None:
    assert not (await real.ask(RebootedCheck)).ok
    before = await real.ask(PayloadCheck)
    assert before.ok, before
    await real.reboot()
    after = await real.ask(PayloadCheck)
    assert after.ok, after
    assert (await real.ask(RebootedCheck)).ok


async def test_reconnecting_is_no_login_by_hand(real: RealNode) -> None:
    for _ in range(3):
        await real.connection.connect()
    result = await real.ask(PayloadCheck)
    assert result.ok, result


async def test_an_attempt_broken_off_before_it_registered_is_known_by_its_count(
    real: RealNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = NodeConnection._registered

    async def cut(self: NodeConnection, ssh: asyncssh.SSHClientConnection, far: bool) -> Shells:
        ssh.abort()
        return await begin(self, ssh, far)

    monkeypatch.setattr(NodeConnection, "_registered", cut)
    with pytest.raises(UnreachableError):
        await real.connection.connect()
    monkeypatch.undo()
    await real.connection.connect()
    await real.ask_until(passed, PayloadCheck)


async def test_a_port_that_an_outsider_only_forwarded_is_seen(real: RealNode) -> None:
    await real.log_in("-W127.0.0.1:22", given="hello")
    assert "(without a session)" in await payload_words(real)


async def test_no_socket_of_the_node_can_be_forwarded(real: RealNode) -> None:
    await real.do("systemd-run --quiet --unit=sock systemd-socket-activate -l /run/x.sock cat")
    await real.do("until [ -S /run/x.sock ]; do sleep 0.05; done; chmod 777 /run/x.sock")
    refused = await real.do("/usr/sbin/sshd -T | grep -c -E '^allow(streamlocal|agent)[a-z]* no'")
    assert refused == "2\n"
    ssh = real.connection._require()
    with pytest.raises(asyncssh.ChannelOpenError, match="open failed"):
        await ssh.open_unix_connection("/run/x.sock")


@pytest.mark.parametrize(
    ("arguments", "given", "kind"),
    [
        (("-T", "true"), "", "(command)"),
        (("-tt",), "exit\n", "(shell on pts/"),
        (("-T", "-s", "sftp"), "", "(subsystem 'sftp')"),
    ],
)
async def test_a_login_by_hand_is_seen_and_still_seen_after_a_reboot(
    real: RealNode, arguments: tuple[str, ...], given: str, kind: str
) -> None:
    await real.log_in(*arguments, given=given)
    for _ in range(2):
        message = await payload_words(real)
        assert message.startswith("touched: spotdeploy logged in by hand from ")
        assert kind in message
        await real.reboot()


async def test_a_tunnel_by_hand_is_seen_while_it_stands(real: RealNode) -> None:
    tunnel = asyncio.create_task(real.log_in("-N", "-oServerAliveInterval=1"))
    try:
        await real.ask_until(lambda result: not result.ok, PayloadCheck)
        assert "(without a session)" in await payload_words(real)
    finally:
        tunnel.cancel()
        await asyncio.gather(tunnel, return_exceptions=True)


async def test_a_login_on_the_console_is_seen(real: RealNode) -> None:
    await real.do(
        "(sleep 1; echo exit; sleep 1) | timeout 10 script -qc 'login -f root' /dev/null || true"
    )
    assert "root logged in by hand on the console at" in await payload_words(real)


async def test_a_journal_that_was_cleared_proves_nothing(real: RealNode) -> None:
    await real.do("journalctl --rotate; journalctl --vacuum-time=1us; rm -rf /var/log/journal/*/*")
    await real.do("systemctl restart systemd-journald")
    result = await real.ask(PayloadCheck)
    assert not result.ok
    assert "does not show our own login" in result.detail


async def test_what_was_edited_on_the_node_is_named(real: RealNode) -> None:
    await real.do(
        "cd /opt/spotdeploy/payload; echo x >> conf/app.ini; chmod 700 run.sh; touch new;"
        " rm /opt/uploaded_files/tool"
    )
    assert await payload_words(real) == (
        "drift: /opt/spotdeploy/payload/conf/app.ini was changed; "
        "/opt/spotdeploy/payload/new was added; "
        "/opt/spotdeploy/payload/run.sh has mode 0700, not 0755; "
        f"/opt/uploaded_files/tool is missing; {ELSEWHERE}"
    )


async def test_units_are_told_apart_by_what_became_of_them(real: RealNode) -> None:
    await real.do(UNIT.format(name="steady", run="echo ready for work; exec sleep 1000"))
    await real.do(UNIT.format(name="looping", run="echo no disk; exit 7"))
    assert (await real.ask(SystemdCheck, units=["steady", "ssh.service"])).ok
    assert (await real.ask(LogCheck, unit="steady.service", pattern="^ready for work$")).ok
    forbidden = await real.ask(LogCheck, unit="looping.service", forbid="no disk")
    assert forbidden.final
    looping = await real.ask_until(settled, SystemdCheck, units=["steady", "looping"])
    assert looping.detail.startswith("looping "), "it may be active for a moment each time"
    assert "was restarted" in looping.detail
    assert "no disk" in looping.detail
    await real.do("systemctl disable --quiet steady")
    disabled = await real.ask(SystemdCheck, units=["steady"])
    assert "steady is not enabled (disabled)" in disabled.detail
    absent = await real.ask(SystemdCheck, units=["stedy.service"])
    assert absent.detail == "stedy.service does not exist (there is steady.service)"
    assert absent.final
    typo = await real.ask(LogCheck, unit="stedy.service", forbid="x")
    assert typo.detail == "it cannot be searched: there is no unit stedy.service"


async def test_ports_are_reached_from_the_node_and_from_here(real: RealNode) -> None:
    serve = "exec python3 -m http.server 8000 --bind 127.0.0.1 --directory /opt/spotdeploy/payload"
    await real.do(UNIT.format(name="web", run=serve))
    await real.ask_until(passed, HttpCheck, port=8000)
    keys = {"port": 8000, "path": "/conf/app.ini", "contains": "answer = 42"}
    assert (await real.ask(HttpCheck, **keys)).ok
    refused = await real.ask(HttpCheck, **keys, **{"from": "here"})
    assert "refused" in refused.detail
    for side in ("node", "here"):
        assert (await real.ask(TcpCheck, port=22, banner="^SSH-2", **{"from": side})).ok
    closed = await real.ask(TcpCheck, port=8001)
    assert "port 8001 on the node" in closed.detail


async def test_a_service_that_speaks_and_is_gone_at_once_has_been_heard(real: RealNode) -> None:
    await real.do(BRIEF.format(name="banner", port=7001, say="220 brief\\r\\n"))
    answer = "HTTP/1.0 200 OK\\r\\n\\r\\nbrief"
    await real.do(BRIEF.format(name="page", port=7002, say=answer))
    await real.do(BRIEF.format(name="mute", port=7003, say=""))
    for side in ("node", "here"):
        for _ in range(10):
            banner = await real.ask(TcpCheck, port=7001, banner="^220", **{"from": side})
            assert (banner.ok, banner.detail) == (True, "220 brief")
            assert (await real.ask(TcpCheck, port=7001, **{"from": side})).ok
    for _ in range(10):
        page = await real.ask(HttpCheck, port=7002, contains="brief")
        assert page.ok, page
    mute = await real.ask(HttpCheck, port=7003)
    assert mute.detail.startswith("it closed the connection without a word")


async def test_commands_that_never_end_are_ended_in_time_and_take_no_session(
    real: RealNode,
) -> None:
    began = time.monotonic()
    script = ["sh", "-c", "echo so far; trap '' TERM; sleep 1000"]
    hung = await asyncio.gather(
        *(real.connection.run(script, timeout=0.5) for _ in range(3 * SESSIONS))
    )
    assert {(one.exit_code, one.stdout) for one in hung} == {(124, "so far\n")}
    assert all(one.stderr.startswith("no end within") for one in hung)
    assert time.monotonic() - began < 60
    assert await real.do("pgrep -c sleep || true") == "0\n"


async def test_a_command_that_nothing_can_end_is_left_behind(real: RealNode) -> None:
    began = time.monotonic()
    frozen = ["sh", "-c", "kill -STOP $PPID; sleep 1000"]
    result = await real.connection.run(frozen, timeout=0.5)
    assert (result.exit_code, result.stderr) == (124, "no end within 0.5s")
    assert time.monotonic() - began < 0.5 + GRACE + CLOSING + 5
    assert await real.do("echo still here") == "still here\n"


async def test_a_connection_cut_while_a_port_is_read_is_a_failed_answer_and_no_crash(
    real: RealNode,
) -> None:
    question = asyncio.create_task(real.ask(TcpCheck, port=22, banner="never", timeout="30s"))
    await real.do("true")
    with suppress(UnreachableError):
        await real.do("systemctl kill --signal=KILL ssh.service")
    result = await question
    assert (result.ok, result.final) == (False, False)
    assert result.detail == "the ssh connection was lost"
