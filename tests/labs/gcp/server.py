"""The HTTP server in front of the lab's cloud: the API, batches of calls, and tokens."""

from __future__ import annotations

import json
import re
import socket
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.labs.gcp.call import DROPPED, Call, GoogleError, Reply
from tests.labs.gcp.cloud import Cloud
from tests.labs.gcp.discovery import match
from tests.labs.gcp.skus import SKUS, price_list
from tests.labs.gcp.tokens import BILLING, Tokens
from tests.labs.http_server import Handler, HttpServer

API = "/compute/v1/"
BATCH = "/batch/compute/v1"
LEND = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")
BOUNDARY = "batch_lab"
MOST_IN_BATCH = 1000


class Server(HttpServer):
    """Listens on an address until it is stopped."""

    def __init__(self, listener: socket.socket, cloud: Cloud, tokens: Tokens) -> None:
        """`listener` is bound already, in whichever network namespace it belongs to."""
        self.requests: list[str] = []
        """The methods of each HTTP request that reached the API, joined."""
        self.charged: list[str] = []
        """The quota project that each of them named; "" for none."""
        super().__init__(listener, _Handler, cloud=cloud, tokens=tokens, owner=self)


class _Handler(Handler):
    def answer(self) -> None:
        server: Any = self.server
        reply = self._route(server.cloud, server.tokens, self.body())
        if reply is DROPPED:
            self.hang_up()
            return
        headers = {**reply.headers, "Content-Type": reply.type, "Metadata-Flavor": "Google"}
        self.send(reply.status, headers, reply.body)

    def _route(self, cloud: Cloud, tokens: Tokens, body: bytes) -> Reply:
        path = urlsplit(self.path).path
        if path == "/token":
            return tokens.exchange(body)
        if lent := LEND.fullmatch(path):
            return tokens.lend(lent[1], self.headers.get("Authorization", ""), json.loads(body))
        if path == SKUS:
            if not tokens.valid(self.headers.get("Authorization", ""), BILLING):
                words = "Request had insufficient authentication scopes."
                return GoogleError(403, "insufficientPermissions", words).reply()
            return price_list(cloud.skus, dict(parse_qsl(urlsplit(self.path).query)))
        if path == "/my-address":
            return Reply(200, f"{self.client_address[0]}\n".encode(), "text/plain")
        if not path.startswith((API, BATCH)):
            found = tokens.metadata(
                path, {key.lower(): value for key, value in self.headers.items()}, cloud.project
            )
            return found or GoogleError(404, "notFound", path).reply()
        if not tokens.valid(self.headers.get("Authorization", "")):
            words = "Request had invalid authentication credentials."
            return GoogleError(401, "authError", words).reply()
        server: Any = self.server
        if path == BATCH:
            server.owner.charged.append(self.headers.get("X-Goog-User-Project", ""))
            return self._batch(cloud, body)
        server.owner.charged.append(self.headers.get("X-Goog-User-Project", ""))
        self._note([f"{self.command} {self.path}"])
        version = self.headers.get("X-Goog-Api-Version", "")
        return _call(cloud, self.command, self.path, body, version)

    def _batch(self, cloud: Cloud, body: bytes) -> Reply:
        """https://cloud.google.com/compute/docs/api/how-tos/batch"""
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = [part for part in message_from_bytes(head + body).walk() if not part.is_multipart()]
        if not 0 < len(parts) <= MOST_IN_BATCH:
            words = f"The batch has {len(parts)} calls, and takes 1 to {MOST_IN_BATCH}."
            return GoogleError(400, "badRequest", words).reply()
        lines = [str(part.get_payload()).splitlines()[0] for part in parts]
        self._note(lines)
        replies = []
        for line in lines:
            verb, path, _ = line.split(" ")
            replies.append(_call(cloud, verb, path, b""))
        if DROPPED in replies:
            return DROPPED
        text = "".join(_part(part, one) for part, one in zip(parts, replies, strict=True))
        return Reply(
            200, f"{text}--{BOUNDARY}--\r\n".encode(), f"multipart/mixed; boundary={BOUNDARY}"
        )

    def _note(self, lines: list[str]) -> None:
        server: Any = self.server
        server.owner.requests.append("; ".join(lines))


def _part(asked: Message, reply: Reply) -> str:
    number = str(asked["Content-ID"]).strip("<>")
    words = "OK" if reply.status < 400 else "Error"
    return (
        f"--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
        f"HTTP/1.1 {reply.status} {words}\r\nContent-Type: {reply.type}\r\n"
        f"Content-Length: {len(reply.body)}\r\n\r\n{reply.body.decode()}\r\n"
    )


def _call(cloud: Cloud, verb: str, target: str, body: bytes, version: str = "") -> Reply:
    url = urlsplit(target)
    found = match(verb, url.path.removeprefix(API))
    if found is None:
        cloud.wrong.append(f"{verb} {url.path}: there is no such method")
        return GoogleError(404, "notFound", f"{verb} {url.path}").reply()
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    try:
        content = json.loads(body) if body else None
    except ValueError:
        cloud.wrong.append(f"{found.id}: the body is not JSON")
        return GoogleError(
            400, "parseError", "This API does not support parsing form-encoded input."
        ).reply()
    return cloud.handle(Call(found, query, content, version))
