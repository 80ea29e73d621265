"""Stands in for Bacalhau where no binary was uploaded, and says so everywhere.

It answers the health endpoint of Bacalhau's API, /api/v1/agent/alive on port 1234, and runs no
jobs.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 1234
ALIVE = "/api/v1/agent/alive"
NOTICE = "this is a stand-in for Bacalhau: upload the real binary as 'bacalhau' to replace it"


class Handler(BaseHTTPRequestHandler):
    """Answers the health endpoint, and nothing else."""

    timeout = 10

    def do_GET(self) -> None:
        """Answer one request."""
        alive = self.path == ALIVE
        body = {"Status": "OK", "StandIn": True} if alive else {"Error": NOTICE}
        data = json.dumps(body).encode()
        self.send_response(200 if alive else 501)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Stand-In", "spotdeploy")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Requests are not worth a line in the journal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args(arguments)
    server = ThreadingHTTPServer(("0.0.0.0", options.port), Handler)  # noqa: S104  # the node's firewall decides
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"{NOTICE}; port {server.server_port}", flush=True)
    while not stopping.wait(1.0):
        pass  # a signal that another thread was given is handled only when this one wakes up
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
