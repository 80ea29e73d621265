"""The instance metadata service, version 2, as seen from inside a machine.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.labs.aws.cloud import Instance

ADDRESS = "169.254.169.254"
WhoIs = Callable[[str], Instance | None]
"""The instance at an address."""


class MetadataServer:
    """Answers each machine about itself, and only to those who bring a token."""

    def __init__(self, listener: socket.socket, who_is: WhoIs, notice_seconds: float) -> None:
        """`notice_seconds` is how long before an interruption the notice says it comes."""
        server: Any = ThreadingHTTPServer(("", 0), _Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        server.who_is, server.notice_seconds, server.tokens = who_is, notice_seconds, set()
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


def facts(instance: Instance, notice_seconds: float) -> dict[str, bytes]:
    """Path to content, for one instance."""
    text = {
        "meta-data/ami-launch-index": "0",
        "meta-data/instance-id": instance.id,
        "meta-data/instance-life-cycle": instance.market,
        "meta-data/instance-type": instance.size,
        "meta-data/local-hostname": f"{instance.id}.lab.internal",
        "meta-data/local-ipv4": instance.private_address,
        "meta-data/placement/availability-zone": instance.zone,
        "meta-data/placement/region": instance.region,
        "meta-data/public-ipv4": instance.address,
        "dynamic/instance-identity/document": json.dumps(
            {"instanceId": instance.id, "region": instance.region, "version": "2017-09-30"}
        ),
    }
    if instance.noticed_at is not None:
        at = time.gmtime(time.time() + notice_seconds)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
        text["meta-data/spot/instance-action"] = json.dumps({"action": "terminate", "time": when})
        text["meta-data/spot/termination-time"] = when
    found = {path: value.encode() for path, value in text.items()}
    if instance.user_data:
        found["user-data"] = base64.b64decode(instance.user_data)
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        server: Any = self.server
        if self.path != "/latest/api/token" or not self.headers.get(
            "X-aws-ec2-metadata-token-ttl-seconds"
        ):
            self._send(400, b"")
            return
        token = secrets.token_urlsafe()
        server.tokens.add(token)
        self._send(200, token.encode())

    def do_GET(self) -> None:
        """HttpTokens=required: without a token there is no answer."""
        server: Any = self.server
        if self.headers.get("X-aws-ec2-metadata-token") not in server.tokens:
            self._send(401, b"")
            return
        instance = server.who_is(self.client_address[0])
        if instance is None:
            self._send(404, b"")
            return
        path = re.sub(r"^/(latest|\d{4}-\d\d-\d\d)/", "", self.path)
        known = facts(instance, server.notice_seconds)
        content = known.get(path) if path in known else _folder(known, path)
        self._send(200 if content is not None else 404, content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _folder(known: dict[str, bytes], path: str) -> bytes | None:
    """A listing: names, those of folders with a slash behind."""
    prefix = path.rstrip("/") + "/"
    inside = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
    names = sorted(
        {part + "/" * bool(slash) for part, slash, _ in (n.partition("/") for n in inside)}
    )
    return "\n".join(names).encode() if names else None
