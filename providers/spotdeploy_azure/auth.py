"""Who acts, and in which subscription.

Credentials are found where Azure's tools find them, and azure-identity logs in with them:
https://learn.microsoft.com/en-us/azure/developer/python/sdk/authentication/credential-chains
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotdeploy.config.secret import Secret
from spotdeploy.errors import ConfigError, CredentialsError, HostError
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import HOW

if TYPE_CHECKING:  # azure-identity takes most of a second to load
    from spotdeploy_azure.login import Login, Source

INSTALL: Final = "run: pip install 'spotdeploy[azure]'"
AZURE_TAG: Final = "7783-7084-3265-9085-8269-3286-77"
"""The chassis of every virtual machine of Azure:
https://learn.microsoft.com/en-us/azure/virtual-machines/linux/using-cloud-init#azure-datasource"""
TAG_FILE: Final = Path("/sys/class/dmi/id/chassis_asset_tag")
IDENTITY_VARIABLES: Final = (
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
)
"""What Azure's services set where they serve a managed identity."""


class Chain:
    """Whose credentials are used: the first that is there of a secret, a certificate, a federated
    token's file and GitHub's OIDC, each of a service principal; then a managed identity, and what
    'az login' left. Nothing ever asks a person.

    The environment is read when it is needed.
    """

    def __init__(self, config: AzureConfig, authority: str) -> None:
        """Reads nothing yet. `authority` is the URL of the Entra login."""
        self._config = config
        self._authority = authority
        self._source: Source | None = None

    @property
    def tenant(self) -> str:
        """The tenant's id; empty when nothing names it."""
        return self._config.tenant or os.environ.get("AZURE_TENANT_ID", "")

    @property
    def client(self) -> str:
        """The application's id; empty when nothing names it."""
        return self._config.client_id or os.environ.get("AZURE_CLIENT_ID", "")

    @property
    def subscription(self) -> str:
        """The subscription's id: the named one, or that which the Azure CLI works in when its login
        is the one that is used. Raises ConfigError when there is none."""
        found = self._named_subscription or self._default_subscription
        if found:
            return found.lower()
        raise ConfigError(
            "no Azure subscription is named",
            hint='set AZURE_SUBSCRIPTION_ID, or subscription = "..." under [provider.azure]',
        )

    def token(self) -> tuple[str, int]:
        """A fresh token, and the Unix time of its end. Blocks for a call, or for the Azure CLI.

        Raises CredentialsError with the login's own message and what to do, ThrottledError when it
        cannot say now, and what requests raises when it cannot be reached.
        """
        if self._source is None:
            self._source = self._find()
        return self._login.token(self._source)

    def forget(self) -> None:
        """Read the credentials again for the next token, and take no remembered one."""
        self._source = None

    @cached_property
    def _login(self) -> Login:
        try:
            from spotdeploy_azure.login import Login
        except ImportError as error:
            raise HostError(f"azure-identity is missing: {error}", hint=INSTALL) from error

        return Login(self._authority, self._config.cloud)

    def _find(self) -> Source:
        secret = self._secret()
        certificate = os.environ.get("AZURE_CLIENT_CERTIFICATE_PATH")
        federated = os.environ.get("AZURE_FEDERATED_TOKEN_FILE")
        if secret is not None:
            return self._login.secret(*self._principal("a secret"), secret)
        if certificate:
            return self._login.certificate(*self._principal("a certificate"), certificate)
        if federated:
            return self._login.federated(*self._principal("a federated token"), federated)
        if self.tenant and self.client and os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
            return self._login.github(self.tenant, self.client)
        identity = has_managed_identity()
        return self._login.machine_or_person(
            self.tenant, self.client, self._named_subscription, identity=identity
        )

    def _principal(self, what: str) -> tuple[str, str]:
        for value, name in ((self.tenant, "AZURE_TENANT_ID"), (self.client, "AZURE_CLIENT_ID")):
            if not value:
                message = f"there is {what} for Azure, and {name} is not set"
                raise CredentialsError(message, hint=HOW)
        return self.tenant, self.client

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

    @property
    def _named_subscription(self) -> str:
        return self._config.subscription or os.environ.get("AZURE_SUBSCRIPTION_ID", "")

    @property
    def _default_subscription(self) -> str:
        """https://learn.microsoft.com/en-us/cli/azure/azure-cli-configuration#cli-configuration-file
        names the folder; a service principal of ours never takes the CLI's subscription."""
        if self.client:
            return ""
        folder = os.environ.get("AZURE_CONFIG_DIR") or "~/.azure"
        try:
            text = (Path(folder).expanduser() / "azureProfile.json").read_text("utf-8-sig")
            every = json.loads(text)["subscriptions"]
            return str(next((one["id"] for one in every if one.get("isDefault")), ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return ""


def has_managed_identity() -> bool:
    """True where Azure may serve one: on its machines and in its services. Calls nothing."""
    if any(os.environ.get(name) for name in IDENTITY_VARIABLES):
        return True
    try:
        return TAG_FILE.read_text("ascii").strip() == AZURE_TAG
    except (OSError, ValueError):
        return False


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
