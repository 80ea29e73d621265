"""The check `tcp`."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from spotdeploy.check import Check, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.tcp import LIMIT, TcpCheck
from tests.plugins.checks.here import Here, ask, configured, greets, refusal, serving


class TestTcpContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return TcpCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "tcp", "port": 22, "banner": "^SSH-2"}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection(ports={22: b"SSH-2.0-OpenSSH_9.2\r\n"})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection(ports={22: b"220 mail ready\r\n"})


@pytest.mark.parametrize("side", ["node", "here"])
async def test_a_port_that_accepts_passes_from_both_sides(side: str) -> None:
    async with serving(greets()) as port:
        result = await ask(TcpCheck, Here(), port=port, **{"from": side})
    assert result.ok, result


async def test_a_port_that_nobody_listens_on_fails_and_is_asked_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = await ask(TcpCheck, Here(), port=taken.getsockname()[1])
    assert (result.ok, result.final) == (False, False)
    assert "Connect call failed" in result.detail


async def test_a_banner_may_come_in_pieces() -> None:
    async with serving(greets(b"SSH-", b"2.0-x\r\n")) as port:
        result = await ask(TcpCheck, Here(), port=port, banner=r"^SSH-2\.0")
    assert result.ok, result


async def test_another_banner_fails_with_what_was_said() -> None:
    async with serving(greets(b"\x1b[31m220 mail\xff\r\n", close=True)) as port:
        result = await ask(TcpCheck, Here(), port=port, banner="^SSH")
    assert not result.ok
    assert "it said '220 mail\ufffd', which does not match '^SSH'" in result.detail


async def test_a_silent_port_fails_when_its_time_is_up() -> None:
    async with serving(greets()) as port:
        result = await ask(TcpCheck, Here(), port=port, banner="x", timeout="100ms")
    assert result.detail == "no answer within 0.1s"


async def test_a_flood_is_read_no_further_than_the_limit() -> None:
    async with serving(greets(b"z" * LIMIT * 4, close=True)) as port:
        result = await ask(TcpCheck, Here(), port=port, banner="needle")
    assert not result.ok
    assert len(result.detail) < 400


def test_titles_tell_the_sides_apart() -> None:
    assert configured(TcpCheck, port=80).name == "tcp :80"
    assert configured(TcpCheck, port=80, **{"from": "here"}).name == "tcp :80 from here"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"port": 0}, "checks[0].port: should be at least 1"),
        ({"port": 65536}, "checks[0].port: should be at most 65535"),
        ({"port": 80, "banner": "("}, "banner: '(' is not a regular expression"),
        ({}, "checks[0].port: missing"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(TcpCheck, **keys)
