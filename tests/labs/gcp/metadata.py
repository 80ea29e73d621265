"""The metadata server, as seen from inside a machine.

https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.labs.gcp.state import Instance

ADDRESS = "169.254.169.254"
PREFIX = "/computeMetadata/v1/instance/"
WhoIs = Callable[[str], Instance | None]
"""The instance at an address."""


class MetadataServer:
    """Answers each machine about itself, and only to those who send Metadata-Flavor."""

    def __init__(self, listener: socket.socket, who_is: WhoIs) -> None:
        """`listener` is bound already, in the network of the machines."""
        server: Any = ThreadingHTTPServer(("", 0), _Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        server.who_is = who_is
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


def facts(instance: Instance) -> dict[str, str]:
    """Path to content, for one instance."""
    items = instance.properties.get("metadata", {}).get("items", [])
    return {
        "id": str(instance.number),
        "name": instance.name,
        "preempted": "TRUE" if instance.noticed else "FALSE",
        "zone": f"projects/4242424242/zones/{instance.zone}",
        **{f"attributes/{item['key']}": str(item["value"]) for item in items},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        instance = server.who_is(self.client_address[0])
        content = facts(instance).get(self.path.removeprefix(PREFIX)) if instance else None
        if self.headers.get("Metadata-Flavor") != "Google":
            self._send(403, "")
        else:
            self._send(404 if content is None else 200, content or "")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def _send(self, status: int, content: str) -> None:
        body = content.encode()
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
