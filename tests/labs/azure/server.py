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
from tests.labs.tls import server_context

SCOPE = "https://management.azure.com/.default"
SCOPES = {
    SCOPE,
    "https://management.chinacloudapi.cn/.default",
    "https://management.core.usgovcloudapi.net/.default",
}
EXCHANGE = "api://AzureADTokenExchange"
GITHUB = "lab-github-request-token"
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
    identities: set[str] = field(default_factory=set)
    """Ids of the managed identities of this machine; "" is the machine's own."""
    identity_trouble: list[Reply] = field(default_factory=list)
    """What the next questions for a managed identity are answered."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The questions for managed identities."""
    github_trouble: list[Reply] = field(default_factory=list)
    """What the next questions for GitHub's tokens are answered."""

    def login(self, tenant: str, body: bytes) -> Reply:
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
        if form.get("grant_type") != "client_credentials" or form.get("scope") not in SCOPES:
            return _refused("invalid_request", "AADSTS900144: a parameter is missing.")
        known = form.get("client_secret") == self.secret
        if not known and form.get("client_assertion") not in self.assertions:
            return _refused("invalid_client", "AADSTS7000215: Invalid client secret provided.")
        return self._token()

    def identity(self, query: dict[str, str], metadata: str) -> Reply:
        """https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token"""
        self.asked.append(query)
        if self.identity_trouble:
            return self.identity_trouble.pop(0)
        if metadata != "true" or query.get("resource") != SCOPE.removesuffix("/.default"):
            return _refused("invalid_request", "Required metadata header not specified", 400)
        if query.get("client_id", "") not in self.identities:
            return _refused("invalid_request", "Identity not found", 400)
        reply = self._token()
        return answer({**reply.json, "expires_in": str(LIFE), "resource": query["resource"]})

    def github(self, query: dict[str, str], authorization: str) -> Reply:
        """A token that the login takes once: https://docs.github.com/en/actions/reference/security/oidc"""
        if self.github_trouble:
            return self.github_trouble.pop(0)
        if authorization != f"bearer {GITHUB}" or query.get("audience") != EXCHANGE:
            return Reply(401, b"no")
        assertion = f"eyJ.{secrets.token_urlsafe()}.sig"
        self.assertions = {assertion}
        return answer({"count": 1, "value": assertion})

    def _token(self) -> Reply:
        token = secrets.token_urlsafe()
        self.tokens.add(token)
        self.expired = False
        return answer(
            {
                "token_type": "Bearer",
                "access_token": token,
                "expires_in": LIFE,
                "ext_expires_in": LIFE,
            }
        )

    def discover(self, tenant: str, url: str) -> Reply:
        """https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc"""
        if tenant != self.tenant:
            words = f"AADSTS90002: Tenant '{tenant}' not found."
            return _refused("invalid_tenant", words, 400)
        base = f"{url}/{tenant}"
        return answer(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "issuer": f"{base}/v2.0",
            }
        )

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
        tls = server_context()
        super().__init__(listener, _Handler, cloud=cloud, logins=logins, tls=tls)


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
        if url.path.endswith(("/oauth2/v2.0/token", "/.well-known/openid-configuration")):
            return self._log_in(server.logins, url.path, body)
        query = dict(parse_qsl(url.query))
        if url.path == "/metadata/identity/oauth2/token":
            found: Reply = server.logins.identity(query, self.headers.get("Metadata", ""))
            return found
        if url.path == "/github":
            given: Reply = server.logins.github(query, self.headers.get("Authorization", ""))
            return given
        if url.path == "/my-address":
            return Reply(200, f"{self.client_address[0]}\n".encode())
        if url.path == "/api/retail/prices":
            asked = parse_qs(url.query)
            where = asked["$filter"][0].partition("armRegionName eq '")[2].partition("'")[0]
            link = f"{self._url}{self.path.partition('&$skip')[0]}"
            return answer(catalogue.prices(where, link, int(asked.get("$skip", ["0"])[0])))
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

    def _log_in(self, logins: Logins, path: str, body: bytes) -> Reply:
        if not self.secure:
            return Reply(403, b"Entra is only served by TLS")
        tenant = path.split("/")[1]
        if path.endswith("/token"):
            return logins.login(tenant, body)
        return logins.discover(tenant, self._url)

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
        return f"http{'s' if self.secure else ''}://{self.headers['Host']}"


def _refused(error: str, description: str, status: int = 401) -> Reply:
    return answer({"error": error, "error_description": f"{description}\r\nTrace ID: 0"}, status)
