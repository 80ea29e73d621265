"""A network between a lab and its clients that breaks some of their calls."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.labs.http_server import Handler, HttpServer
from tests.labs.network import HttpConnection, Network
from tests.labs.tls import client_context, server_context

HOST: Final = "127.0.0.1"
LONGEST_DELAY: Final = 0.3
"""Seconds."""
HOP: Final = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})
"""Headers of one connection, not of the call."""
GARBAGE: Final[Sequence[bytes]] = (
    b"",
    b"null",
    b"[]",
    b'{"error": {"code": 4',
    b"<html><body>Sign in to this network</body></html>",
    b"<?xml version='1.0'?><Response><Err",
    b"\xff\xfe\x00\x80 not text",
    b'{"a":' * 5000,
)
"""What proxies, portals and broken servers answer."""


class BrokenNetwork:
    """Takes calls, breaks `share` of them (0 to 1), and hands on the others.

    The seed decides how each call is broken, in the order in which they come; when they come it
    does not decide.
    """

    def __init__(self, seed: int, share: float) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._lock = threading.Lock()
        self.broken: list[str] = []
        """How the calls so far were broken, in order."""

    def start(self, network: Network, port: int) -> int:
        """Listen before what listens on `port` of that network. Gives the port to call."""
        listener = network.listener(HOST)
        tls = server_context()  # what a client does not encrypt goes on as it is
        self._server = HttpServer(
            listener, _Handler, weather=self, network=network, behind=port, tls=tls
        )
        self._server.start()
        return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Listen no more."""
        self._server.stop()

    def heal(self) -> None:
        """Break nothing from now on."""
        self._share = 0.0

    def draw(self) -> Callable[[Any], None] | None:
        """How the next call is broken; None for one that is handed on."""
        with self._lock:
            if self._random.random() >= self._share:
                return None
            how = self._random.choice(_WAYS)
            self.broken.append(how.__name__)
            return how

    def pick(self, of: Sequence[bytes]) -> bytes:
        """One of them."""
        with self._lock:
            return self._random.choice(of)

    def pause(self) -> float:
        """How many seconds a call is late."""
        with self._lock:
            return self._random.uniform(0, LONGEST_DELAY)


class _Handler(Handler):
    server: Any

    def answer(self) -> None:
        self.sent = self.body()
        way = self.server.weather.draw()
        if way:
            way(self)
        else:
            self.hand_on()

    def hand_on(self) -> None:
        """The answer of what is behind, whole."""
        found = self.ask()
        if found is None:
            self.hang_up()
        else:
            self.send(*found)

    def ask(self) -> tuple[int, dict[str, str], bytes] | None:
        """What is answered behind; None for nothing at all."""
        connection = HttpConnection(self.server.network, HOST, self.server.behind)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
        try:
            connection.connect()
            if self.secure:
                connection.sock = client_context().wrap_socket(
                    connection.sock, server_hostname=HOST
                )
            connection.request(self.command, self.path, self.sent or None, headers)
            found = connection.getresponse()
            body = found.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        kept = {name: value for name, value in found.getheaders() if name.lower() not in HOP}
        return found.status, kept, body


def lose_the_request(call: _Handler) -> None:
    """It never arrives."""
    call.hang_up()


def lose_the_reply(call: _Handler) -> None:
    """It takes effect, and nothing comes back."""
    call.ask()
    call.hang_up()


def cut_the_reply(call: _Handler) -> None:
    """Half of the reply comes back."""
    found = call.ask()
    if found:
        status, headers, body = found
        call.send_response(status)
        for name, value in headers.items():
            call.send_header(name, value)
        call.send_header("Content-Length", str(len(body)))
        call.end_headers()
        call.wfile.write(body[: len(body) // 2])
        call.wfile.flush()
    call.hang_up()


def delay(call: _Handler) -> None:
    """It comes late."""
    time.sleep(call.server.weather.pause())
    call.hand_on()


def fail(call: _Handler) -> None:
    """A server on the way is broken."""
    call.send(500, {"Content-Type": "text/html"}, b"<html>Internal Server Error</html>")


def unavailable(call: _Handler) -> None:
    """A server on the way has nobody behind it."""
    call.send(503, {"Content-Type": "text/plain"}, b"no healthy upstream")


def throttle(call: _Handler) -> None:
    """A server on the way is asked too often."""
    call.send(429, {"Content-Type": "text/plain"}, b"Too Many Requests")


def answer_garbage(call: _Handler) -> None:
    """Something else answers, and says that all is well."""
    body = call.server.weather.pick(GARBAGE)
    call.send(200, {"Content-Type": "application/json"}, body)


_WAYS: Final = (
    lose_the_request,
    lose_the_reply,
    cut_the_reply,
    delay,
    fail,
    unavailable,
    throttle,
    answer_garbage,
)
