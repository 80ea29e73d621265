"""A cloud's API in this process, for the lab of a provider that speaks JSON over HTTP."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    """The JSON that was sent; the bytes where it is none; None where nothing was."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets."""

    status: int
    body: Any = None
    """What is sent as JSON; None sends nothing."""


class HttpCloud(ABC):
    """Serves on 127.0.0.1, or on a Unix socket, while it is a context. One call at a time."""

    def __init__(self, socket_path: Path | None = None) -> None:
        self.count = 0
        """The calls so far."""
        self._lock = Lock()
        self._refusals: dict[str, Answer] = {}
        self._lost = ""
        self._server = _UnixServer(socket_path) if socket_path else _Server(("127.0.0.1", 0))
        self._server.cloud = self

    @abstractmethod
    def answer(self, call: Call) -> Answer:
        """Do what a call asks."""

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end; of no use with a Unix socket."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def refusing(self, status: int, body: Any, method: str = "") -> Callable[[], None]:
        """A function after which every call, or every one of this method, is refused so and has no
        effect, until `heal`."""
        return lambda: self._refusals.update({method: Answer(status, body)})

    def losing(self, method: str) -> Callable[[], None]:
        """A function after which the next call of this method that is not refused takes effect, and
        gets no answer."""
        return lambda: setattr(self, "_lost", method)

    def heal(self) -> None:
        """Refuse and lose nothing any more."""
        self._refusals.clear()
        self._lost = ""

    def reply(self, call: Call) -> Answer | None:
        """The answer, counted and as the lab wants it; None for none at all."""
        with self._lock:
            self.count += 1
            refusal = self._refusals.get("") or self._refusals.get(call.method)
            answer = refusal or self.answer(call)
            if call.method == self._lost and answer.status < 400:
                self._lost = ""
                return None
            return answer

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
        call = Call(self.command, url.path, dict(parse_qsl(url.query)), _read(sent))
        if answer := self.server.cloud.reply(call):
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if answer.body is not None:
                self.wfile.write(msgspec.json.encode(answer.body))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  # http.server looks for these names

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        del format, args


def _read(sent: bytes) -> Any:
    try:
        return msgspec.json.decode(sent) if sent else None
    except msgspec.DecodeError:
        return sent


class _Server(ThreadingHTTPServer):
    cloud: HttpCloud
    daemon_threads = True

    def __init__(self, address: Any) -> None:
        super().__init__(address, _Handler)


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address), 0
