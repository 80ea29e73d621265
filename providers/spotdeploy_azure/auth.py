"""Who acts, and in which subscription: a service principal, as Azure's tools find it in the
environment (https://learn.microsoft.com/en-us/python/api/azure-identity/azure.identity.environmentcredential).
"""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spotdeploy.config.secret import Secret
from spotdeploy.errors import ConfigError, CredentialsError
from spotdeploy_azure.config import AzureConfig

HOW: Final = (
    "run 'az ad sp create-for-rbac' once, and set AZURE_TENANT_ID, AZURE_CLIENT_ID, "
    "AZURE_CLIENT_SECRET and AZURE_SUBSCRIPTION_ID to what it prints"
)
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE: Final = 600


class Chain:
    """A service principal with its secret, its certificate or a federated token, in this order.

    Files and the environment are read when they are needed; secrets are not kept.
    """

    def __init__(self, config: AzureConfig) -> None:
        """Reads nothing yet."""
        self._config = config

    @property
    def tenant(self) -> str:
        """The tenant's id. Raises CredentialsError when nothing names it."""
        return self._config.tenant or _variable("AZURE_TENANT_ID", "tenant")

    @property
    def client(self) -> str:
        """The application's id. Raises CredentialsError when nothing names it."""
        return self._config.client_id or _variable("AZURE_CLIENT_ID", "service principal")

    @property
    def subscription(self) -> str:
        """The subscription's id. Raises ConfigError when nothing names it."""
        found = self._config.subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
        if found:
            return found.lower()
        raise ConfigError(
            "no Azure subscription is named",
            hint='set AZURE_SUBSCRIPTION_ID, or subscription = "..." under [provider.azure]',
        )

    def proof(self, audience: str) -> Mapping[str, str]:
        """What is sent to the login to prove who we are. `audience` is the URL it is sent to.

        Raises CredentialsError when there is nothing to prove it with.
        """
        secret = self._secret()
        if secret is not None:
            return {"client_secret": secret}
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._token(audience)}

    def _secret(self) -> str | None:
        reference = self._config.client_secret
        if reference is None:
            if not os.environ.get("AZURE_CLIENT_SECRET"):
                return None
            reference = Secret("env:AZURE_CLIENT_SECRET")
        try:
            return reference.reveal()
        except (KeyError, OSError, ValueError) as error:  # the last for what is not UTF-8
            raise CredentialsError(
                f"provider.azure.client_secret cannot be read: {type(error).__name__}: {error}",
                hint=HOW,
            ) from error

    def _token(self, audience: str) -> str:
        certificate = os.environ.get("AZURE_CLIENT_CERTIFICATE_PATH")
        if certificate:
            return assertion(_read(certificate), self.client, audience)
        federated = os.environ.get("AZURE_FEDERATED_TOKEN_FILE")
        if federated:
            return _text(federated)
        raise CredentialsError(
            f"the Azure service principal {self.client} has no secret, certificate or token",
            hint=HOW,
        )


def assertion(pem: bytes, client: str, audience: str) -> str:
    """A signed statement that we are `client`; `pem` has the private key and the certificate.

    https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials

    Raises CredentialsError for a file that is neither.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    try:
        key = serialization.load_pem_private_key(pem, password=None)
        thumbprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    except (ValueError, TypeError) as error:
        raise CredentialsError(
            f"AZURE_CLIENT_CERTIFICATE_PATH: {error}",
            hint="give a PEM file with the unencrypted private key and the certificate",
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsError("AZURE_CLIENT_CERTIFICATE_PATH: the key is not an RSA key")
    now = int(time.time())
    head = {"alg": "PS256", "typ": "JWT", "x5t#S256": _base64url(thumbprint)}
    claims = {"aud": audience, "iss": client, "sub": client, "jti": str(uuid.uuid4())}
    times = {"nbf": now, "exp": now + ASSERTION_LIFE}
    signed = f"{_part(head)}.{_part({**claims, **times})}"
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{signed}.{_base64url(key.sign(signed.encode(), pss, hashes.SHA256()))}"


def throwaway_public_key() -> str:
    """An OpenSSH public key whose private half nobody has.

    Azure wants a key or a password for the account it makes; ours is made by user-data:
    https://learn.microsoft.com/en-us/azure/virtual-machines/linux/create-ssh-keys-detailed
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode()
    )


def _variable(name: str, what: str) -> str:
    value = os.environ.get(name)
    if value:
        return value
    raise CredentialsError(f"no Azure credentials found: no {what} is named", hint=HOW)


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


def _part(content: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(content).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
