"""Who may call: service accounts, users and the metadata server, and the tokens they get."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from tests.labs.gcp.call import Json, Reply, answer

EMAIL = "deployer@lab-project.iam.gserviceaccount.com"
USER = {
    "client_id": "lab-client",
    "client_secret": "lab-client-secret",
    "refresh_token": "lab-refresh",
}
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Whoever signs names Google, whichever endpoint it then asks."""
SCOPE = "https://www.googleapis.com/auth/compute"


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
        return self.grant() if genuine else _refusal("invalid_grant", "Invalid grant.")

    def grant(self) -> Reply:
        """A new token."""
        token = f"ya29.{secrets.token_urlsafe()}"
        self.given[token] = time.time() + self.life
        body = {"access_token": token, "expires_in": int(self.life), "token_type": "Bearer"}
        return answer(body)

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

    def valid(self, header: str) -> bool:
        """Whether an Authorization header lets its bearer in."""
        kind, _, token = header.partition(" ")
        return kind == "Bearer" and not self.refused and self.given.get(token, 0.0) > time.time()

    def _signed(self, assertion: str) -> bool:
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        try:
            claims: dict[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]  # google-auth
                assertion, certs=key_pair()[1], audience=AUDIENCE
            )
        except (GoogleAuthError, ValueError):
            return False
        return claims["iss"] == EMAIL and SCOPE in claims["scope"].split()


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
