"""The HTTP server before each part of a lab."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""


class Handler(BaseHTTPRequestHandler):
    """What every server's handler needs. `self.server` has what was given to the server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    secure = False
    """True when the client spoke TLS."""

    def setup(self) -> None:
        """TLS where the server has it and the client begins with it, on the same port."""
        context = getattr(self.server, "tls", None)
        if context and self.request.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            self.request = context.wrap_socket(self.request, server_side=True)
            self.secure = True
            self.server.connections.add(self.request)  # type: ignore[attr-defined]  # of _Server
        super().setup()

    def finish(self) -> None:
        """What was wrapped is ours to close."""
        super().finish()
        if self.secure:
            self.server.connections.discard(self.request)  # type: ignore[attr-defined]
            self.request.close()

    @abstractmethod
    def answer(self) -> None:
        """Answer a request, whatever its verb."""

    def do_GET(self) -> None:
        """Called by the base, as the others are."""
        self.answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Nothing is printed."""

    def body(self) -> bytes:
        """What came with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """Answer nothing, ever."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.connections: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A connection of a client, which may keep it open for long."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """It is over."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """End them all, and their threads with them."""
        super().server_close()
        for one in [*self.connections]:
            with suppress(OSError):  # it ended meanwhile
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate hangs up, which is no fault of the lab."""
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


class HttpServer:
    """Listens on an address until it is stopped."""

    def __init__(self, listener: socket.socket, handler: type[Handler], **given: object) -> None:
        """`listener` is bound already, in whichever network namespace it belongs to. What is
        `given` becomes attributes of the handler's `server`."""
        server = _Server(handler)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        vars(server).update(given)
        listener.listen(128)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
