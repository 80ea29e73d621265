"""Logging in with azure-identity, and what goes wrong then, as our errors.

Loaded only when a token is needed. https://learn.microsoft.com/en-us/python/api/overview/azure/identity-readme
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Protocol

import msgspec
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
)
from requests import Session
from requests.exceptions import RequestException

from spotdeploy.errors import ConfigError, CredentialsError, ProviderError, ThrottledError
from spotdeploy_azure.errors import HOW, login_hint
from spotdeploy_azure.schemas import FederatedToken, LoginRefusal, Token
from spotdeploy_libcloud.tokens import no_token
from spotdeploy_libcloud.transport import Transport, guard_session, told_when

LOGIN: Final = "login"
LOGIN_BUSY: Final = frozenset({"server_error", "temporarily_unavailable"})
"""Trouble of the login's own, whatever the HTTP status:
https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"""
SCOPES: Final = {
    "AzureCloud": "https://management.azure.com/.default",
    "AzureChinaCloud": "https://management.chinacloudapi.cn/.default",
    "AzureUSGovernment": "https://management.core.usgovcloudapi.net/.default",
}
"""What a token is for, as azure.mgmt.core.tools.get_arm_endpoints has it."""
AUDIENCES: Final = {
    "AzureCloud": "api://AzureADTokenExchange",
    "AzureChinaCloud": "api://AzureADTokenExchangeChina",
    "AzureUSGovernment": "api://AzureADTokenExchangeUSGov",
}
"""Whom a federated token must be made for:
https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-create-trust"""
IDENTITY_BUSY: Final = frozenset({404, 410, 429})
"""The metadata service is starting, or has too much to do: https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance"""
TIMEOUT: Final = 30.0
GITHUB_HINT: Final = (
    "give the job 'permissions: id-token: write': https://docs.github.com/en/actions/how-tos/"
    "secure-your-work/security-harden-deployments/oidc-in-azure"
)
_NETWORK_WORDS: Final = ("connection", "timed out", "max retries", "name resolution", "503", "429")

for _name in ("azure", "msal"):  # their warnings say again what our errors say
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Source(Protocol):
    """What azure-identity calls a credential."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A token for the scopes."""


class Login:
    """Makes credentials for one cloud, and tokens of them."""

    def __init__(self, authority: str, cloud: str) -> None:
        """Calls nothing. `authority` is the URL of the Entra login."""
        self._authority = authority
        self._scope, self._audience = SCOPES[cloud], AUDIENCES[cloud]

    def token(self, source: Source) -> tuple[str, int]:
        """A token, and the Unix time of its end. See `auth.Chain.token`."""
        try:
            found = source.get_token(self._scope)
        except Exception as error:
            raise _telling(error) from error
        return found.token, int(found.expires_on)

    def secret(self, tenant: str, client: str, secret: str) -> Source:
        """A service principal with a secret."""
        options = self._options("a secret")
        return _made(lambda: ClientSecretCredential(tenant, client, secret, **options))

    def certificate(self, tenant: str, client: str, path: str) -> Source:
        """A service principal with a certificate. Raises CredentialsError for a file that is
        none."""
        password = os.environ.get("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None
        data = _read(path)
        options = {**self._options("a certificate"), "certificate_data": data, "password": password}
        try:
            return CertificateCredential(tenant, client, **options)
        except (ValueError, TypeError) as error:
            raise CredentialsError(
                f"AZURE_CLIENT_CERTIFICATE_PATH: {error}",
                hint="give a PEM or PKCS12 file with the certificate and its RSA key",
            ) from error

    def federated(self, tenant: str, client: str, path: str) -> Source:
        """A service principal with a token in a file, which is read anew for each login: such
        tokens live for minutes."""
        return self._asserting(tenant, client, lambda: _text(path))

    def github(self, tenant: str, client: str) -> Source:
        """A service principal with a token that GitHub Actions makes anew for each login:
        https://docs.github.com/en/actions/reference/security/oidc"""
        return self._asserting(tenant, client, lambda: github_token(self._audience))

    def machine_or_person(
        self, tenant: str, client: str, subscription: str, *, identity: bool
    ) -> Source:
        """A managed identity where there may be one (`identity`), or else the Azure CLI's login."""
        sources: dict[str, Source] = {}
        if identity:
            sources["managed identity"] = ManagedIdentityCredential(
                client_id=client or None, **_pipeline(_check_identity)
            )
        limit = int(TIMEOUT)
        sources["az login"] = _made(
            lambda: (
                AzureCliCredential(tenant_id=tenant, process_timeout=limit)
                if tenant
                else AzureCliCredential(subscription=subscription or None, process_timeout=limit)
            )
        )
        return _FirstOf(sources)

    def _asserting(self, tenant: str, client: str, assertion: Callable[[], str]) -> Source:
        options = self._options("a federated token")
        return _made(lambda: ClientAssertionCredential(tenant, client, assertion, **options))

    def _options(self, what: str) -> dict[str, Any]:
        return {
            "authority": self._authority,
            "disable_instance_discovery": True,
            **_pipeline(lambda *reply: _check_login(what, *reply)),
        }


class _FirstOf:
    """The first that is there. One that is there and refused, or busy, is not passed over."""

    def __init__(self, sources: dict[str, Source]) -> None:
        self._sources = sources

    def get_token(self, *scopes: str) -> AccessToken:
        """A token for the scopes."""
        missing = []
        for name, source in self._sources.items():
            try:
                return source.get_token(*scopes)
            except CredentialUnavailableError as error:
                telling = _telling(error)
                if not isinstance(telling, CredentialsError):
                    raise
                missing.append(f"{name}: {telling.message}")
        raise CredentialsError(f"no Azure credentials found: {'; '.join(missing)}", hint=HOW)


def _pipeline(check: Callable[[int, bytes, Mapping[str, str]], None]) -> dict[str, Any]:
    """What azure-identity sends with: each answer is shown to `check` first, which may raise, and
    nothing is sent of a ~/.netrc, nor sent again."""
    transport: Any = RequestsTransport(
        session=Session(), connection_timeout=TIMEOUT, read_timeout=TIMEOUT
    )
    guard_session(transport)

    def hook(answer: Any) -> None:
        response = answer.http_response
        check(int(response.status_code), response.content, response.headers)

    return {"transport": transport, "raw_response_hook": hook, "retry_total": 0}


def _check_login(what: str, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Raise our error for an answer of the login that is no success."""
    if status != 200:
        raise told_when(login_refusal(status, body, what), headers)
    if b"token_endpoint" not in body:  # else it says where to log in
        read_token(body)


def _check_identity(status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """The same for what serves managed identities."""
    if status in IDENTITY_BUSY or status >= 500:
        message = f"managed identity: HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
        raise told_when(ThrottledError(message), headers)


def read_token(body: bytes) -> Token:
    """The token in the login's answer. Raises what `no_token` says when there is none."""
    try:
        return msgspec.json.decode(body, type=Token)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_token("Azure's login", body) from error


def login_refusal(status: int, body: bytes, what: str) -> ProviderError:
    """The typed error for what the login answers instead of a token. `what` is what we proved
    ourselves with."""
    try:
        reported = msgspec.json.decode(body, type=LoginRefusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reported = LoginRefusal(error=f"HTTP {status}")
    message = reported.error_description.partition("\n")[0].strip() or reported.error
    if status in (408, 429) or status >= 500 or reported.error in LOGIN_BUSY:
        return ThrottledError(f"{LOGIN}: {message}", code=reported.error)
    hint = login_hint(message) or f"check AZURE_TENANT_ID, AZURE_CLIENT_ID and {what}"
    return CredentialsError(f"Azure refuses the login: {message}", code=reported.error, hint=hint)


def github_token(audience: str) -> str:
    """A fresh token of GitHub's that says which job this is. Raises CredentialsError when GitHub
    refuses it, ThrottledError when it cannot say now."""
    url = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"]
    headers = {"Authorization": f"bearer {os.environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"}
    what = "GitHub's OIDC"
    with Transport(what).call(what, repeatable=True), Session() as session:
        guard_session(SimpleNamespace(session=session))
        reply = session.get(url, params={"audience": audience}, headers=headers, timeout=TIMEOUT)
        status, body = reply.status_code, reply.content
        if status in (408, 429) or status >= 500:
            raise told_when(ThrottledError(f"{what}: HTTP {status}"), reply.headers)
        if status != 200:
            message = (
                f"{what} gives no token: HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
            )
            raise CredentialsError(message, hint=GITHUB_HINT)
        try:
            return msgspec.json.decode(body, type=FederatedToken).value
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise no_token(what, body) from error


def _made(make: Callable[[], Source]) -> Source:
    """A credential. azure-identity checks its arguments when it is made."""
    try:
        return make()
    except ValueError as error:
        raise ConfigError(
            f"Azure's login: {_first_line(error)}",
            hint="check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_AUTHORITY_HOST, or their keys",
        ) from error


def _telling(error: Exception) -> Exception:
    """The cause that says most: one of ours, one of the network's, or a refusal. What is none of
    these is a bug, and comes back as it is."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ProviderError | RequestException):
            return cause
    if any(isinstance(cause, subprocess.TimeoutExpired) for cause in causes):
        return ThrottledError(f"az: no answer within {TIMEOUT:.0f} s")
    if not isinstance(error, AzureError):
        return error
    message = _first_line(error)
    if any(word in message.lower() for word in _NETWORK_WORDS) and "AADSTS" not in message:
        return ThrottledError(f"{LOGIN}: {message}")
    return CredentialsError(f"Azure refuses the login: {message}", hint=login_hint(message) or HOW)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inner = getattr(cause, "inner_exception", None)
        cause = inner or cause.__cause__ or cause.__context__


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "message", "") or error).strip().partition("\n")[0][:500]


def _read(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise CredentialsError(f"cannot read {path}: {error.strerror}", hint=HOW) from error


def _text(path: str) -> str:
    try:
        return _read(path).decode().strip()
    except UnicodeDecodeError as error:
        raise CredentialsError(f"{path} is no token: {error}", hint=HOW) from error
