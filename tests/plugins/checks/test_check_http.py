"""The check `http`."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.check import Check, CheckResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.answer import HEAD_LIMIT, LIMIT, Exchange
from spotdeploy_checks.http import HttpCheck
from spotdeploy_checks.jsonpaths import differences
from tests.plugins.checks.here import Here, Talk, ask, configured, refusal, says, serving


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer as servers give it."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*pieces: bytes) -> bytes:
    """An answer in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


class TestHttpContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return HttpCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "http", "port": 80, "path": "/health", "json": {"status": "ok"}}

    @pytest.fixture
    def healthy(self) -> Connection:
        return ScriptedConnection(ports={80: answer(b'{"status": "ok"}')})

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return ScriptedConnection(ports={80: answer(b"oops", "503 Service Unavailable")})


async def get(talk: Talk, **keys: object) -> CheckResult:
    async with serving(talk) as port:
        return await ask(HttpCheck, Here(), port=port, **keys)


@pytest.mark.parametrize("side", ["node", "here"])
async def test_the_right_status_passes_from_both_sides(side: str) -> None:
    result = await get(says(answer(b"fine")), **{"from": side})
    assert (result.ok, result.detail) == (True, "status 200")


async def test_the_request_asks_for_the_path_with_the_headers_and_for_an_end() -> None:
    received: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer(b""))
        writer.close()

    await get(talk, path="/a?b=%20c", headers={"host": "example.org", "X-One": "1"})
    assert received[0].startswith(b"GET /a?b=%20c HTTP/1.1\r\n")
    assert b"\r\nhost: example.org\r\n" in received[0]
    assert b"\r\nX-One: 1\r\n" in received[0]
    assert b"\r\nConnection: close\r\n" in received[0]
    assert received[0].lower().count(b"host:") == 1


async def test_another_status_fails_with_its_reason_and_the_body() -> None:
    result = await get(says(answer(b"\x1b[2Jno disk\x07", "503 Service Unavailable")))
    assert (result.ok, result.final) == (False, False)
    assert result.detail == "status 503 Service Unavailable, not 200: no disk"


async def test_a_redirect_says_where_it_leads() -> None:
    result = await get(says(answer(b"", "302 Found", "Location: /login")))
    assert "status 302 Found, not 200 (leads to /login)" in result.detail


async def test_a_status_can_be_wanted_that_is_not_200() -> None:
    assert (await get(says(answer(b"", "401 Unauthorized")), status=401)).ok


async def test_the_body_is_searched_for_text_and_expressions() -> None:
    talk = says(answer(b"ready: 3 of 3\nbye"))
    assert (await get(talk, contains="3 of 3", matches=r"^ready: (\d) of \1$")).ok
    assert "no '4 of 4': ready" in (await get(talk, contains="4 of 4")).detail
    assert "no match of 'o{9}'" in (await get(talk, matches="o{9}")).detail


async def test_a_body_in_chunks_is_put_together() -> None:
    talk = says(chunked(b'{"sta', b'tus": "o', b'k"}'))
    assert (await get(talk, json={"status": "ok"})).ok


@pytest.mark.parametrize(
    "raw", [answer(b"x" * 10), chunked(b"ab0\r\n\r\n", b"x" * 10)], ids=["length", "chunks"]
)
async def test_a_server_that_keeps_the_connection_open_is_not_waited_for(raw: bytes) -> None:
    pieces = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    result = await get(says(*pieces, close=False), contains="x" * 10, timeout="2s")
    assert result.ok, result


async def test_a_server_that_never_answers_fails_in_time() -> None:
    result = await get(says(close=False), timeout="100ms")
    assert result.detail == "no answer within 0.1s"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it closed the connection without a word"),
        (b"SSH-2.0-OpenSSH\r\n", "it does not speak HTTP: 'SSH-2.0-OpenSSH'"),
        (answer(b"abcdef")[:-2], "the answer was cut short"),
        (chunked(b"abcdef")[:-5], "the answer was cut short"),
        (b"HTTP/1.1 999999 No\r\n\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 60000 + b"\r\n", "it does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02F", '(if it speaks TLS: scheme = "https")'),
    ],
)
async def test_what_is_no_whole_answer_fails(raw: bytes, message: str) -> None:
    result = await get(says(raw))
    assert not result.ok
    assert message in result.detail


async def test_a_body_without_end_is_read_no_further_than_the_limit() -> None:
    endless = says(b"HTTP/1.1 200 OK\r\n\r\nneedle", b"z" * 2 * LIMIT)
    assert (await get(endless, contains="needle")).ok
    lacking = await get(endless, contains="pin")
    assert f"the body's first {LIMIT} bytes has no 'pin'" in lacking.detail
    assert "too large to be read as JSON" in (await get(endless, json={"a": 1})).detail


async def test_a_body_longer_than_the_limit_is_not_called_cut_short() -> None:
    body = b"needle" + b"z" * 2 * LIMIT
    assert (await get(says(answer(body)), contains="needle")).ok


async def test_a_refused_connection_fails_and_is_asked_again() -> None:
    result = await ask(HttpCheck, ScriptedConnection(), port=80)
    assert (result.ok, result.final) == (False, False)
    assert "refused" in result.detail


def test_json_paths_reach_into_tables_and_lists() -> None:
    body = json.dumps({"a": {"b": [{"c": 1}, {"c": 2.5}]}, "up": True, "n": None, "t": [1, "x"]})
    right = {"a.b.1.c": 2.5, "a": {"b.0.c": 1}, "up": True, "t": [1, "x"]}
    assert differences(body, right) == ""
    assert differences(body, {"a.b.2.c": 1}) == "a.b.2.c is missing"
    assert differences(body, {"a.x": 1, "up": False}) == "a.x is missing; up is True, not False"
    assert differences(body, {"up": 1}) == "up is True, not 1"
    assert differences(body, {"n": 0}) == "n is None, not 0"
    assert differences(body, {"n.deeper": 0}) == "n.deeper is missing"
    assert differences("[1]", {"0": 1}) == ""


@pytest.mark.parametrize("body", ["", "{", "[" * 200_000, '{"a": ' + "9" * 10_000 + "}"])
def test_a_body_that_is_no_json_is_a_difference(body: str) -> None:
    assert differences(body, {"a": 1}).startswith("the body is not JSON")


def taken(raw: bytes, size: int = 0) -> Exchange:
    """An exchange whose answer came in pieces of that size, or at once, up to its end."""
    exchange = Exchange("/", "localhost", {})
    step = size or max(len(raw), 1)
    for at in range(0, len(raw), step):
        if exchange.take(raw[at : at + step]):
            return exchange
    exchange.take(b"")
    return exchange


def reported(raw: bytes) -> str:
    """What is said of an answer."""
    try:
        return f"status {taken(raw).answer().status}"
    except ValueError as error:
        return str(error)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_parser(tail: bytes) -> None:
    for raw in (tail, b"HTTP/1.1 200 OK\r\n" + tail, chunked(b"ab")[:45] + tail):
        assert reported(raw).isprintable()


HUGE = ("ffffffffffffffff", "7fffffffffffffff", "f" * 20, "f" * 21, "-1", "0x5", "1" * 5000)


@pytest.mark.parametrize("size", HUGE)
async def test_a_chunk_of_absurd_size_is_no_crash(size: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    result = await get(says(head + size.encode() + b"\r\nabc"))
    assert not result.ok
    assert "cut short" in result.detail


@pytest.mark.parametrize("length", ["9" * 19, "9223372036854775808", "9" * 400, "-1", "1e3", "1,2"])
async def test_an_absurd_length_is_no_crash(length: str) -> None:
    result = await get(says(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nabc".encode()))
    assert not result.ok
    assert re.search("cut short|does not speak HTTP", result.detail), result.detail


async def test_a_head_without_end_is_read_no_further_than_its_limit() -> None:
    came = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"a: b\r\n" * 1000)
            await writer.drain()
            came += 6000

    result = await get(talk, timeout="5s")
    assert "does not speak HTTP" in result.detail
    assert came < 64 * HEAD_LIMIT


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
async def test_what_comes_before_the_answer_is_not_the_answer(status: str) -> None:
    assert (await get(says(f"HTTP/1.1 {status}\r\n\r\n".encode() * 3 + answer(b"")))).ok


async def test_a_protocol_may_be_switched_to() -> None:
    talk = says(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    result = await get(talk, status=101, headers=headers)
    assert result.ok, result


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 60), st.data())
def test_an_answer_in_chunks_is_complete_at_its_end_and_not_before(
    pieces: list[bytes], size: int, data: st.DataObject
) -> None:
    raw = chunked(*pieces)
    assert taken(raw, size).answer().body == b"".join(pieces).decode(errors="replace")
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(ValueError, match=r"cut short|HTTP|without a word"):
        taken(raw[:cut]).answer()


def test_the_request_is_plain_text() -> None:
    assert Exchange("/", "localhost", {}).request == (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: spotdeploy\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n"
    )


def test_titles_tell_port_path_and_side() -> None:
    assert configured(HttpCheck, port=80, path="/a").name == "http :80/a"
    assert configured(HttpCheck, port=80, **{"from": "here"}).name == "http :80/ from here"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "health"}, "checks[0]: path: 'health' should begin with /"),
        ({"path": "/a b"}, "path: '/a b' should begin with / and have no spaces"),
        ({"path": "/\r\nX: y"}, "path: "),
        ({"status": 99}, "checks[0].status: should be at least 100"),
        ({"headers": {"a b": "c"}}, "headers: 'a b' is not the name of a header"),
        ({"headers": {"a": "c\r\nd: e"}}, "headers.a: has characters that no header may have"),
        ({"headers": {"Content-Length": "5"}}, "headers: "),
        ({"scheme": "ftp"}, "checks[0].scheme"),
        ({"host": "a b"}, "host: 'a b' is not the name of a server"),
        ({"host": "a." * 9}, "is not the name of a server"),
        ({"ca": "a.pem"}, 'ca: is for scheme = "https"'),
        ({"verify": False}, 'verify: is for scheme = "https"'),
        ({"ca": "a", "verify": False, "scheme": "https"}, "nothing is held against it"),
        ({"headers": {"a": 1}}, "checks[0].headers"),
        ({"matches": "["}, "matches: '[' is not a regular expression"),
        ({"jsn": {}}, "checks[0].jsn: unknown key"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(HttpCheck, port=80, **keys)
