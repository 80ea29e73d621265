"""Who may call: service accounts, users and the metadata server, and the tokens they get."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from tests.labs.gcp.call import GoogleError, Json, Reply, answer

EMAIL = "deployer@lab-project.iam.gserviceaccount.com"
USER = {
    "client_id": "lab-client",
    "client_secret": "lab-client-secret",
    "refresh_token": "lab-refresh",
}
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Whoever signs names Google, whichever endpoint it then asks."""
SCOPE = "https://www.googleapis.com/auth/compute"
IAM = "https://www.googleapis.com/auth/iam"
BILLING = "https://www.googleapis.com/auth/cloud-billing.readonly"
EVERYTHING = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class Tokens:
    """Gives tokens, and knows those it gave."""

    url: str
    """Of the token endpoint."""
    life: float = 3600.0
    """Seconds."""
    refused: str = ""
    """When set, the words with which every request for a token is refused."""
    trouble: list[Reply] = field(default_factory=list)
    """What the next requests for a token are answered, whoever asks."""
    silent: dict[str, Reply] = field(default_factory=dict)
    """What the metadata server answers for a path, by its end, instead of what it should."""
    given: dict[str, float] = field(default_factory=dict)
    """Token to its end, Unix seconds."""
    scopes: dict[str, frozenset[str]] = field(default_factory=dict)
    """Token to what it is good for."""
    lendable: set[str] = field(default_factory=set)
    """Service accounts that whoever has a token may act as."""
    acting: dict[str, str] = field(default_factory=dict)
    """Token to the service account that it acts as, where it is another one."""

    def key_file(self, project: str) -> Json:
        """What the console hands out as a service account's key."""
        private, _ = key_pair()
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": "lab-key",
            "private_key": private,
            "client_email": EMAIL,
            "client_id": "1234567890",
            "token_uri": self.url,
        }

    def user_file(self) -> Json:
        """What `gcloud auth application-default login` leaves behind."""
        return {"type": "authorized_user", **USER}

    def exchange(self, form: bytes) -> Reply:
        """https://developers.google.com/identity/protocols/oauth2/service-account"""
        asked = {key: values[0] for key, values in parse_qs(form.decode()).items()}
        if self.trouble:
            return self.trouble.pop(0)
        if self.refused:
            return _refusal("invalid_grant", self.refused)
        if asked.get("grant_type") == "refresh_token":
            genuine = all(asked.get(key) == value for key, value in USER.items())
        else:
            genuine = self._signed(asked.get("assertion", ""))
        if not genuine:
            return _refusal("invalid_grant", "Invalid grant.")
        return self.grant(*_scopes(asked))

    def grant(self, *scopes: str) -> Reply:
        """A new token, for Compute Engine when no scopes are named."""
        body = {"expires_in": int(self.life), "token_type": "Bearer"}
        return answer({**body, "access_token": self._new(scopes or (SCOPE,))})

    def lend(self, account: str, header: str, asked: Json) -> Reply:
        """https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken"""
        if not self.valid(header, IAM):
            return GoogleError(401, "authError", "Invalid credentials.").reply()
        if account not in self.lendable:
            words = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"
            return GoogleError(403, "forbidden", words).reply()
        token = self._new(asked["scope"])
        self.acting[token] = account
        end = datetime.fromtimestamp(self.given[token], UTC)
        return answer({"accessToken": token, "expireTime": f"{end:%Y-%m-%dT%H:%M:%SZ}"})

    def _new(self, scopes: Sequence[str]) -> str:
        token = f"ya29.{secrets.token_urlsafe()}"
        self.given[token] = time.time() + self.life
        self.scopes[token] = frozenset(scopes)
        return token

    def metadata(self, path: str, headers: Mapping[str, str], project: str) -> Reply | None:
        """The metadata server as google-auth asks it; None for a path it does not have.
        https://cloud.google.com/compute/docs/access/authenticate-workloads"""
        if headers.get("metadata-flavor") != "Google":
            return answer({"error": "Metadata-Flavor is missing"}, 403)
        for end, reply in self.silent.items():
            if path.endswith(end):
                return reply
        account = "/computeMetadata/v1/instance/service-accounts/default"
        path = path.replace(f"/service-accounts/{EMAIL}/", "/service-accounts/default/")
        if path == "/computeMetadata/v1/project/project-id":
            return Reply(200, project.encode(), "application/text")
        if path == f"{account}/token":
            return self.grant()
        if path == f"{account}/":
            return answer({"email": EMAIL, "scopes": [SCOPE], "aliases": ["default"]})
        if path in ("/", "/computeMetadata/v1/"):
            return Reply(200, b"", "application/text")
        return None

    def valid(self, header: str, scope: str = SCOPE) -> bool:
        """Whether an Authorization header lets its bearer in to what the scope names."""
        kind, _, token = header.partition(" ")
        allowed = {scope, EVERYTHING} & self.scopes.get(token, frozenset())
        in_time = self.given.get(token, 0.0) > time.time()
        return kind == "Bearer" and not self.refused and bool(allowed) and in_time

    def _signed(self, assertion: str) -> bool:
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        try:
            claims: dict[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]  # google-auth
                assertion, certs=key_pair()[1], audience=AUDIENCE
            )
        except (GoogleAuthError, ValueError):
            return False
        return bool(claims["iss"] == EMAIL and claims["scope"])


def _scopes(asked: Mapping[str, str]) -> list[str]:
    """What is asked for: in the assertion of a service account, or in the form of a user, who has
    all that the login allowed when nothing is named."""
    from google.auth import jwt

    if "assertion" not in asked:
        return asked.get("scope", EVERYTHING).split()
    claims: Any = jwt.decode(asked["assertion"], verify=False)  # type: ignore[no-untyped-call]  # google-auth
    return str(claims["scope"]).split()


@cache
def key_pair() -> tuple[str, str]:
    """A private and a public RSA key, made once for all labs of a process."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def _refusal(code: str, words: str) -> Reply:
    return answer({"error": code, "error_description": words}, 400)
