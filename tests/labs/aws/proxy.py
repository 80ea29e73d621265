"""The HTTP server between the clients and moto."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.labs.aws.call import DROPPED, MOTO_NAMESPACE, NAMESPACE, AwsError, Call, Reply
from tests.labs.aws.moto_server import MotoServer
from tests.labs.aws.signature import Signed, is_genuine
from tests.labs.http_server import Handler, HttpServer
from tests.labs.network import HttpConnection, Network

SECRETS = {"AKIALABUSER00000000A": "lab-secret-key", "ASIALABUSER00000000T": "lab-temporary-key"}
"""Access key to secret key: whoever signs with one of these is let in."""


class Proxy(HttpServer):
    """Listens on an address and hands every call to `handle`."""

    def __init__(self, listener: socket.socket, handle: Callable[[Call], Reply]) -> None:
        """`listener` is bound already, in whichever network namespace it belongs to."""
        super().__init__(listener, _Handler, handle_call=handle)


class Upstream:
    """Sends calls on to moto."""

    def __init__(self, moto: MotoServer, network: Network) -> None:
        """Connects when there is something to send."""
        self._moto = moto
        self._network = network
        self._idle: list[HttpConnection] = []

    def forward(self, call: Call, parameters: dict[str, str]) -> Reply:
        """Send these parameters under the call's own headers: moto takes the account and region
        from the Authorization header."""
        headers = {
            "Authorization": call.headers.get("Authorization", ""),
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Host": f"{call.service}.{call.region}.amazonaws.com",
        }
        connection = (
            self._idle.pop() if self._idle else HttpConnection(self._network, *self._moto.address)
        )
        connection.request("POST", "/", urlencode(parameters), headers)
        answered = connection.getresponse()
        body = answered.read().replace(MOTO_NAMESPACE, NAMESPACE.encode() + b'"')
        reply = Reply(answered.status, body)
        self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Let go of the connections."""
        while self._idle:
            self._idle.pop().close()


class _Handler(Handler):
    def answer(self) -> None:
        """A GET is for the "what is my address" service, as https://checkip.amazonaws.com
        answers."""
        body = self.body()
        if self.command == "GET":
            self._send(Reply(200, f"{self.client_address[0]}\n".encode()))
            return
        try:
            call = self._call(body)
        except AwsError as error:
            self._send(error.reply())
            return
        server: Any = self.server
        reply = server.handle_call(call)
        if reply is DROPPED:
            self.hang_up()
        else:
            self._send(reply)

    def _call(self, body: bytes) -> Call:
        headers = dict(self.headers.items())
        try:
            signed = Signed(headers.get("Authorization", ""))
        except ValueError as error:
            raise AwsError("MissingAuthenticationToken", str(error), 403) from error
        if signed.access not in SECRETS:
            words = "AWS was not able to validate the provided access credentials"
            raise AwsError("AuthFailure", words, 401)
        secret = SECRETS[signed.access]
        if not is_genuine(signed, secret, "POST", self.path, headers, body):
            raise AwsError("SignatureDoesNotMatch", "the signature does not match", 403)
        if signed.access.startswith("ASIA") and "X-Amz-Security-Token" not in self.headers:
            raise AwsError("AuthFailure", "temporary credentials need their session token", 401)
        place = signed.service, signed.region
        if target := headers.get("X-Amz-Target"):
            action = target.rpartition(".")[2]
            return Call(action, *place, {}, headers, json.loads(body or b"{}"))
        parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
        return Call(parameters.get("Action", ""), *place, parameters, headers)

    def _send(self, reply: Reply) -> None:
        self.send(reply.status, {"Content-Type": reply.type}, reply.body)
