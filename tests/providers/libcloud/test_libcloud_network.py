"""Own address, and what is let in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Batch
from spotdeploy_libcloud.network import Ingress, OwnAddress, caller_cidr
from tests.providers.libcloud.conftest import listening


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


def batch(*sources: str) -> Batch:
    """A batch that may be reached from these."""
    return Batch("token", 1, {}, b"", "user", open_ports=(8080,), allow_from=sources)


def test_ssh_is_always_open_and_no_port_twice() -> None:
    assert Ingress((8080, 22), ()).all_ports == [22, 8080]


def test_networks_are_told_apart_by_version_and_written_whole() -> None:
    ingress = Ingress((), ("198.51.100.7/24", "2001:db8::1/32"))
    assert ingress.cidrs(4) == ["198.51.100.0/24"]
    assert ingress.cidrs(6) == ["2001:db8::/32"]


def test_given_sources_are_used_and_nobody_is_asked() -> None:
    nobody = OwnAddress("acme", "private", "http://127.0.0.1:9")
    assert nobody.ingress(batch("10.0.0.0/8")) == Ingress((8080,), ("10.0.0.0/8",))


def test_the_own_address_is_asked_for_once() -> None:
    with address_service("192.0.2.7") as url:
        own = OwnAddress("acme", "public", url)
        first = own.ingress(batch())
    assert first == own.ingress(batch()) == Ingress((8080,), ("192.0.2.7/32",))


def test_private_nodes_need_to_know_who_may_reach_them() -> None:
    with pytest.raises(ConfigError, match=r'provider\.acme\.address is "private"') as caught:
        OwnAddress("acme", "private", "http://127.0.0.1:9").ingress(batch())
    assert "CIDRs" in str(caught.value.hint)
