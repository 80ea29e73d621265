"""`HttpCloud`: a lab's API over HTTP, on a port or on a Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.error import HTTPError

import pytest

from spotdeploy.testing import Answer, Call, HttpCloud


class Echo(HttpCloud):
    """It answers with what it was asked, and refuses what it does not know."""

    def answer(self, call: Call) -> Answer:
        return Answer(404 if call.path == "/unknown" else 200, asdict(call))


@pytest.fixture
def cloud() -> Iterator[Echo]:
    with Echo() as cloud:
        yield cloud


def ask(cloud: Echo, method: str, path: str, body: bytes | None = None) -> tuple[int, object]:
    request = urllib.request.Request(cloud.url + path, body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_call_is_read_and_answered_as_json(cloud: Echo, method: str) -> None:
    body = None if method == "GET" else b'{"count": 3}'
    assert ask(cloud, method, "/servers/7?region=north&of=a%3Db", body) == (
        200,
        {
            "method": method,
            "path": "/servers/7",
            "query": {"region": "north", "of": "a=b"},
            "body": json.loads(body) if body else None,
        },
    )
    assert cloud.count == 1


def test_what_is_no_json_comes_as_bytes_and_nothing_is_sent_for_none(tmp_path: Path) -> None:
    class Archive(HttpCloud):
        sent: object = None

        def answer(self, call: Call) -> Answer:
            self.sent = call.body
            return Answer(204)

    with Archive() as cloud:
        request = urllib.request.Request(cloud.url, b"\x1f\x8b\x00tar", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read()) == (204, b"")
        assert cloud.sent == b"\x1f\x8b\x00tar"


def test_a_refusal_lasts_until_it_is_healed_and_counts_as_a_call(cloud: Echo) -> None:
    cloud.refusing(429, {"code": "slow_down"})()
    assert ask(cloud, "GET", "/a") == ask(cloud, "POST", "/a") == (429, {"code": "slow_down"})
    cloud.heal()
    assert ask(cloud, "GET", "/a")[0] == 200
    assert cloud.count == 3


def test_one_method_alone_can_be_refused(cloud: Echo) -> None:
    cloud.refusing(503, {"code": "full"}, "POST")()
    assert [ask(cloud, method, "/a")[0] for method in ("POST", "GET", "DELETE")] == [503, 200, 200]


def test_an_answer_is_lost_once_and_only_one_that_says_yes(cloud: Echo) -> None:
    cloud.losing("POST")()
    assert ask(cloud, "GET", "/a")[0] == 200
    assert ask(cloud, "POST", "/unknown")[0] == 404
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(cloud, "POST", "/a")
    assert ask(cloud, "POST", "/a")[0] == 200


def test_it_is_gone_when_it_is_left(cloud: Echo) -> None:
    with Echo() as other:
        url = other.url
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    with Echo(tmp_path / "api.sock") as cloud, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "api.sock"))
        client.sendall(b"GET /info HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        answer = client.makefile("rb").read()
        assert cloud.count == 1
    assert b" 200 " in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/info"
