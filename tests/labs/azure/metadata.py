"""The instance metadata service, as seen from inside a machine.

https://learn.microsoft.com/en-us/azure/virtual-machines/linux/scheduled-events
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.labs.azure.call import Json
from tests.labs.azure.state import Machine

ADDRESS = "169.254.169.254"
EVENTS = "/metadata/scheduledevents"
COMPUTE = "/metadata/instance/compute"
WhoIs = Callable[[str], Machine | None]
"""The machine at an address."""


class MetadataServer:
    """Answers each machine about itself, and only to those who send `Metadata: true`."""

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


def events(machine: Machine) -> Json:
    """The scheduled events of a machine."""
    if not machine.noticed:
        return {"DocumentIncarnation": 1, "Events": []}
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    event = {
        "EventId": "A123BC45-1234-5678-AB90-ABCDEF123456",
        "EventStatus": "Scheduled",
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": [machine.name],
        "NotBefore": when,
        "EventSource": "Platform",
    }
    return {"DocumentIncarnation": 2, "Events": [event]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        url = urlsplit(self.path)
        machine = server.who_is(self.client_address[0])
        if self.headers.get("Metadata") != "true" or "api-version=" not in url.query:
            self._send(400, {"error": "Bad request. Required metadata header not specified"})
        elif machine is None:
            self._send(404, {"error": "not found"})
        elif url.path == EVENTS:
            self._send(200, events(machine))
        elif url.path == COMPUTE:
            where = {"location": machine.body["location"], "vmSize": machine.size}
            self._send(200, {"name": machine.name, "priority": machine.market, **where})
        else:
            self._send(404, {"error": "not found"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def _send(self, status: int, content: Json) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
