"""`tcp` and `http` from a node of one group to those of another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from spotdeploy.check import Check, CheckResult
from spotdeploy.model import Node
from spotdeploy_checks.http import HttpCheck
from spotdeploy_checks.ports import reached_at
from spotdeploy_checks.tcp import TcpCheck
from tests.plugins.checks.here import NODE, Here, configured, greets, refusal, serving


def peer(name: str, **keys: object) -> Node:
    return msgspec.structs.replace(NODE, id=name, name=name, **keys)


@dataclass
class Among(Here):
    """A node with others beside it, each on an address of this computer's loopback."""

    others: Mapping[str, Sequence[Node]] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)

    def peers(self, group: str) -> Sequence[Node]:
        return self.others.get(group, ())

    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.reached.append(host)
        return await asyncio.open_connection(host, port)


async def ask(check: Check[Any], connection: Among) -> CheckResult:
    return await check.run(NODE, connection)


async def test_every_node_of_the_group_is_asked_at_its_private_address() -> None:
    heads = [peer("head-1", private_address="127.0.0.1"), peer("head-2", address="127.0.0.1")]
    connection = Among(others={"head": heads})
    async with serving(greets(b"SSH-2.0\r\n")) as port:
        result = await ask(configured(TcpCheck, port=port, to="head", banner="^SSH"), connection)
    assert result.ok, result
    assert connection.reached == ["127.0.0.1", "127.0.0.1"]


async def test_one_that_does_not_answer_fails_it_by_name() -> None:
    heads = [peer("head-1", address="127.0.0.1"), peer("head-2", address="127.0.0.9")]
    connection = Among(others={"head": heads})
    async with serving(greets()) as port:
        result = await ask(configured(TcpCheck, port=port, to="head"), connection)
    assert not result.ok
    assert result.detail.startswith("head-2: ")


async def test_http_asks_others_too() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    connection = Among(others={"head": [peer("head-1", address="127.0.0.1")]})
    async with serving(greets(answer)) as port:
        check = configured(HttpCheck, port=port, to="head", contains="ok")
        result = await ask(check, connection)
    assert result.ok, result
    assert result.name == f"http :{port}/ of head"


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({}, "group head has no other node"),
        ({"head": [NODE]}, "group head has no other node"),
        ({"head": [peer("head-1", address=None)]}, "head-1: it has no address that is known"),
    ],
)
async def test_nobody_to_ask_is_a_failure(others: dict[str, list[Node]], told: str) -> None:
    result = await ask(configured(TcpCheck, port=80, to="head"), Among(others=others))
    assert (result.ok, result.detail) == (False, told)


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        ({"private_address": "10.0.0.2", "address": "203.0.113.2"}, "10.0.0.2"),
        ({"private_address": "10.0.0.2", "address": "203.0.113.2", "location": "there"}, None),
        ({"private_address": "10.0.0.2", "address": "203.0.113.2", "provider": "other"}, None),
        ({"private_address": None, "address": "203.0.113.2"}, None),
    ],
)
def test_the_private_address_is_for_those_in_one_location(
    keys: dict[str, object], address: str | None
) -> None:
    assert reached_at(NODE, peer("x", **keys)) == (address or "203.0.113.2")


def test_who_asks_and_who_is_asked_can_be_told_from_the_table() -> None:
    check = configured(TcpCheck, port=80, to="head", **{"from": "worker"})
    assert (check.group, check.asks, check.name) == ("worker", "head", "tcp :80 of head")
    plain = configured(TcpCheck, port=80)
    assert (plain.group, plain.asks) == ("", "")
    assert "to: from" in refusal(TcpCheck, port=80, to="head", **{"from": "here"})
