"""What the clouds' providers share: cache, errors in transport, codes, the caller's address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy_libcloud.cache import Cache, user_cache
from spotdeploy_libcloud.network import caller_cidr
from spotdeploy_libcloud.transport import Transport


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_kept_value_is_given_back_until_it_is_too_old(tmp_path: Path) -> None:
    clock = Clock()
    cache = Cache(tmp_path / "new" / "folder", 10, clock)
    assert cache.get("image") is None
    cache.put("image", {"id": "ami-1"})
    clock.now += 9.9
    assert cache.get("image") == {"id": "ami-1"}
    clock.now += 0.1
    assert cache.get("image") is None


def test_a_value_from_the_future_is_not_believed(tmp_path: Path) -> None:
    Cache(tmp_path, 10, Clock(1000)).put("image", {"id": "ami-1"})
    assert Cache(tmp_path, 10, Clock(900)).get("image") is None


def test_a_forgotten_value_is_gone_and_forgetting_twice_is_success(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10)
    cache.put("image", {"id": "ami-1"})
    cache.forget("image")
    cache.forget("image")
    assert cache.get("image") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"at": 1}', '{"at": "x", "value": {}, "name": 1}']
)
def test_a_broken_file_is_a_miss(tmp_path: Path, text: str) -> None:
    cache = Cache(tmp_path, 10)
    cache.put("image", {"id": "ami-1"})
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert cache.get("image") is None


def test_a_folder_that_cannot_be_written_costs_only_speed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "folder", 10)
    cache.put("image", {"id": "ami-1"})
    assert cache.get("image") is None


def test_the_users_cache_is_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user_cache("images", 10).put("image", {"id": "ami-1"})
    assert len(list((tmp_path / "spotdeploy" / "images").iterdir())) == 1


@contextmanager
def listening(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server for one connection; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def ask(transport: Transport, url: str, *, repeatable: bool, timeout: float = 5.0) -> None:
    with transport.call("RunThings", repeatable=repeatable):
        requests.post(url, data="x", timeout=timeout)


@pytest.mark.parametrize(("repeatable", "kind"), [(True, ThrottledError), (False, LostReplyError)])
def test_an_answer_that_never_came_is_lost_unless_it_can_be_asked_again(
    *, repeatable: bool, kind: type[ProviderError]
) -> None:
    lost = pytest.raises(kind, match="RunThings: no answer from the cloud")
    with listening(lambda connection: connection.recv(9999)) as url, lost:
        ask(Transport("the cloud"), url, repeatable=repeatable)


def test_an_answer_that_takes_too_long_is_lost() -> None:
    done = threading.Event()
    with listening(lambda _: done.wait(5)) as url:
        with pytest.raises(LostReplyError, match="no answer"):
            ask(Transport("the cloud"), url, repeatable=False, timeout=0.2)
        done.set()


def test_what_was_never_sent_is_not_lost() -> None:
    with pytest.raises(ProviderError, match="cannot reach the cloud") as caught:
        ask(Transport("the cloud"), "http://127.0.0.1:9", repeatable=False)
    assert type(caught.value) is ProviderError


def test_a_cloud_that_answered_before_is_waited_for() -> None:
    transport = Transport("the cloud")
    with transport.call("ListThings", repeatable=True):
        pass
    with pytest.raises(ThrottledError, match="cannot reach the cloud"):
        ask(transport, "http://127.0.0.1:9", repeatable=True)


def test_a_bug_of_ours_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), Transport("the cloud").call("x", repeatable=True):
        _ = 1 / 0


@contextmanager
def address_service(text: str, status: int = 200) -> Iterator[str]:
    """A "what is my address" service."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        thread.join()


@pytest.mark.parametrize(
    ("text", "cidr"), [("192.0.2.7\n", "192.0.2.7/32"), ("2001:db8::7", "2001:db8::7/128")]
)
def test_the_callers_address_is_a_network_of_one(text: str, cidr: str) -> None:
    with address_service(text) as url:
        assert caller_cidr(url) == cidr


@pytest.mark.parametrize(
    ("text", "status"), [("<html>", 200), ("0.0.0.0/0", 200), ("", 200), ("192.0.2.7", 503)]
)
def test_anything_but_one_address_is_refused_with_a_remedy(text: str, status: int) -> None:
    with address_service(text, status) as url, pytest.raises(ProviderError) as caught:
        caller_cidr(url)
    assert "nodes.allow_from" in str(caught.value.hint)


def test_an_address_service_that_talks_nonsense_is_an_error() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"220 mail\r\n")

    with listening(talk) as url, pytest.raises(ProviderError, match="cannot ask"):
        caller_cidr(url)
