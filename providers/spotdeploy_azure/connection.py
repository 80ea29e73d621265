"""libcloud's Azure connection that keeps to the URLs it is given, and types what goes wrong."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from libcloud.common.azure_arm import AzureJsonResponse, AzureResourceManagementConnection
from libcloud.common.base import ConnectionUserAndKey
from libcloud.common.types import MalformedResponseError

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy_azure.credentials import Chain
from spotdeploy_azure.errors import SlowDownError, login_hint, refusal
from spotdeploy_azure.shapes import LoginRefusal, Token

LOGIN: Final = "login"
LONGEST_PAUSE: Final = 3600.0


class Response(AzureJsonResponse):
    """An answer; a refusal becomes one of our errors, with Azure's code and words."""

    def success(self) -> bool:
        """202 and 204 are success too; libcloud thinks otherwise."""
        return 200 <= int(self.status) < 300

    def parse_body(self) -> Any:
        """The JSON, or None for an answer without a body."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            connection: Any = self.connection
            raise MalformedResponseError(
                "not JSON", body=self.body, driver=connection.driver
            ) from error

    def parse_error(self) -> str:
        """Always raises."""
        connection: Any = self.connection
        call = connection.context.get("call", "the call")
        error = refusal(str(self.body or ""), int(self.status), call)
        pause = str(self.headers.get("retry-after", ""))
        if isinstance(error, ThrottledError) and pause.isdigit():
            raise SlowDownError(error, min(float(pause), LONGEST_PAUSE))
        raise error


class Connection(AzureResourceManagementConnection):
    """Takes host, port and scheme from the cloud environment, and logs in when it first must."""

    responseCls = Response  # noqa: N815  # libcloud's name

    def __init__(self, *args: Any, chain: Chain, **kwargs: Any) -> None:
        """What is not `chain` is libcloud's; `cloud_environment` is a dict."""
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # libcloud
        environment = kwargs["cloud_environment"]
        self._chain = chain
        self._login = environment["activeDirectoryEndpointUrl"].rstrip("/")
        url = urlsplit(environment["resourceManagerEndpointUrl"])
        self.host, self.secure = str(url.hostname), int(url.scheme == "https")
        self.port = url.port or (443 if self.secure else 80)
        self.access_token = ""
        self.expires_on: int | str = 0

    def connect(
        self, host: Any = None, port: Any = None, base_url: Any = None, **kwargs: Any
    ) -> None:
        """Without logging in: `request` does that."""
        ConnectionUserAndKey.connect(self, host, port, base_url, **kwargs)

    def forget_token(self) -> None:
        """Log in again before the next request."""
        self.expires_on = 0

    def get_token_from_credentials(self) -> None:
        """Log in. Raises CredentialsError with the login's own words."""
        url = urlsplit(f"{self._login}/{self._chain.tenant}/oauth2/token")
        form = {
            "grant_type": "client_credentials",
            "client_id": self._chain.client,
            "resource": self.login_resource,
            **self._chain.proof(url.geturl()),
        }
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        login: Any = self.conn_class(url.hostname, port, secure=secure, timeout=self.timeout)  # type: ignore[no-untyped-call]  # libcloud
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        login.request("POST", url.path, urlencode(form), headers)
        answer: Any = login.getresponse()
        token = _token(int(answer.status_code), answer.content)
        self.access_token, self.expires_on = token.access_token, token.expires_on


def _token(status: int, body: bytes) -> Token:
    if status == 200:
        try:
            return msgspec.json.decode(body, type=Token)
        except msgspec.DecodeError as error:
            raise ProviderError(f"{LOGIN}: the answer is not a token: {error}") from error
    try:
        said = msgspec.json.decode(body, type=LoginRefusal)
    except msgspec.DecodeError:
        said = LoginRefusal(error=f"HTTP {status}")
    words = said.error_description.splitlines()[0] if said.error_description else said.error
    if status == 429 or status >= 500:
        raise ThrottledError(f"{LOGIN}: {words}", code=said.error)
    hint = login_hint(words) or "check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
    raise CredentialsError(f"Azure refuses the login: {words}", code=said.error, hint=hint)
