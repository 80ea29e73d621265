"""Takes registrations on port 8080, and says how many workers there are and how many it reaches."""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORKER_PORT = 8081
workers: dict[str, str] = {}


def reaches(address: str) -> bool:
    try:
        socket.create_connection((address, WORKER_PORT), timeout=1).close()
    except OSError:
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        reached = sum(reaches(address) for address in list(workers.values()))
        self.answer({"registered": len(workers), "reached": reached, "nodes": sorted(workers)})

    def do_PUT(self) -> None:
        workers[self.path.rpartition("/")[2]] = self.client_address[0]
        self.answer({})

    def answer(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8080), Handler).serve_forever()
