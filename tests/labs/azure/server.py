"""The HTTP server in front of the lab: the Resource Manager, the login, prices, consoles."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.labs.azure import catalogue
from tests.labs.azure.call import DROPPED, ArmError, Call, Reply, answer
from tests.labs.azure.checking import wrong_in_answer, wrong_in_call
from tests.labs.azure.cloud import Cloud
from tests.labs.azure.routes import route
from tests.labs.http_server import Handler, HttpServer

AUDIENCE = "https://management.core.windows.net/"
LIFE = 3600


@dataclass
class Logins:
    """Who is let in: https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow"""

    tenant: str
    client: str
    secret: str
    assertions: set[str] = field(default_factory=set)
    """Federated tokens that are taken instead of the secret."""
    refused: tuple[str, str] | None = None
    """The error and description that every login gets."""
    expired: bool = False
    """True when no token given out is valid any longer."""
    tokens: set[str] = field(default_factory=set)
    forms: list[dict[str, str]] = field(default_factory=list)
    """What was sent to the login."""
    trouble: list[Reply] = field(default_factory=list)
    """What the next logins are answered, whoever asks."""

    def login(self, tenant: str, body: bytes, now: float) -> Reply:
        """A token, or why not."""
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.forms.append(form)
        if self.trouble:
            return self.trouble.pop(0)
        if self.refused:
            return _refused(*self.refused)
        if tenant != self.tenant:
            return _refused("invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if form.get("client_id") != self.client:
            words = "AADSTS700016: Application was not found in the directory."
            return _refused("unauthorized_client", words)
        if form.get("grant_type") != "client_credentials" or form.get("resource") != AUDIENCE:
            return _refused("invalid_request", "AADSTS900144: a parameter is missing.")
        known = form.get("client_secret") == self.secret
        if not known and form.get("client_assertion") not in self.assertions:
            return _refused("invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = secrets.token_urlsafe()
        self.tokens.add(token)
        self.expired = False
        times = {"expires_in": str(LIFE), "expires_on": str(int(now) + LIFE)}
        return answer({"token_type": "Bearer", "access_token": token, **times})

    def check(self, header: str) -> None:
        """Raises ArmError when the Authorization header does not let one in."""
        if self.expired or self.refused:
            words = "The access token expiry UTC time is earlier than current UTC time."
            raise ArmError(401, "ExpiredAuthenticationToken", words)
        if header.removeprefix("Bearer ") not in self.tokens:
            raise ArmError(401, "InvalidAuthenticationToken", "The access token is invalid.")


class Server(HttpServer):
    """Listens on an address until it is stopped."""

    def __init__(self, listener: socket.socket, cloud: Cloud, logins: Logins) -> None:
        """`listener` is bound already, in whichever network namespace it belongs to."""
        super().__init__(listener, _Handler, cloud=cloud, logins=logins)


class _Handler(Handler):
    def answer(self) -> None:
        reply = self._route(self.body())
        if reply is DROPPED:
            self.hang_up()
            return
        headers = {**reply.headers, "Content-Type": "application/json; charset=utf-8"}
        self.send(reply.status, headers, reply.body)

    def _route(self, body: bytes) -> Reply:
        server: Any = self.server
        url = urlsplit(self.path)
        if url.path.endswith("/oauth2/token"):
            reply: Reply = server.logins.login(url.path.split("/")[1], body, server.cloud.now)
            return reply
        if url.path == "/my-address":
            return Reply(200, f"{self.client_address[0]}\n".encode())
        if url.path == "/api/retail/prices":
            where = parse_qs(url.query)["$filter"][0].partition("armRegionName eq '")[2]
            return answer(catalogue.prices(where.partition("'")[0], self._url))
        if url.path.startswith("/console/"):
            name = url.path.rpartition("/")[2]
            ask = server.cloud.console or server.cloud.consoles.get
            text = ask(name)
            return Reply(404) if text is None else Reply(200, text.encode())
        try:
            server.logins.check(self.headers.get("Authorization", ""))
            return self._call(server.cloud, body)
        except ArmError as error:
            return error.reply()

    def _call(self, cloud: Cloud, body: bytes) -> Reply:
        url = urlsplit(self.path)
        found = route(self.command, url.path)
        if found is None:
            cloud.wrong.append(f"{self.command} {url.path}: the lab knows no such operation")
            raise ArmError(404, "InvalidResourceType", f"{self.command} {url.path}")
        operation, names = found
        if names["0"].lower() != cloud.subscription:
            words = f"The subscription '{names['0']}' could not be found."
            raise ArmError(404, "SubscriptionNotFound", words)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        content = json.loads(body) if body else None
        call = Call(operation, {**names, "path": url.path}, query, content, self._url)
        cloud.wrong += wrong_in_call(call, cloud.subscription)
        reply = cloud.handle(call)
        cloud.wrong += wrong_in_answer(call, reply)
        return reply

    @property
    def _url(self) -> str:
        return f"http://{self.headers['Host']}"


def _refused(error: str, description: str) -> Reply:
    return answer({"error": error, "error_description": f"{description}\r\nTrace ID: 0"}, 401)
