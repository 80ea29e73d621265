"""libcloud's Azure driver with the gaps closed that would cost machines.

Every listing followed to its last page, answers of an unknown shape refused instead of read as
empty, errors typed with the innermost cause, tokens renewed while it lives; a node is read without
asking for its interfaces one by one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from libcloud.common.azure_arm import (
    AzureJsonResponse,
    AzureResourceManagementConnection,
    publicEnvironments,
)
from libcloud.common.base import ConnectionUserAndKey
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node as LibcloudNode
from libcloud.compute.drivers.azure_arm import AzureNodeDriver
from libcloud.utils.retry import MinimalRetry

from spotdeploy.errors import ConfigError, CredentialsError, ProviderError
from spotdeploy_azure.actions import Action
from spotdeploy_azure.auth import Chain
from spotdeploy_azure.config import ENDPOINT_VARIABLE, LOGIN_VARIABLE, AzureConfig
from spotdeploy_azure.errors import UNKNOWN_OUTCOME, refusal
from spotdeploy_azure.schemas import Page
from spotdeploy_libcloud.paging import all_pages
from spotdeploy_libcloud.transport import (
    Transport,
    address_of,
    guard_session,
    require_address,
    told_when,
)

TIMEOUT: Final = 90.0
ENVIRONMENTS: Final = {"AzureCloud": "default"}
"""Azure's names for its clouds, where libcloud's are others."""
LOGIN: Final = "login"
LOGIN_MARGIN: Final = 120.0
"""Seconds before its end from which on a token is no longer used. The Azure CLI gives some that
live for five minutes."""
T = TypeVar("T")
Query = Mapping[str, str]
PathParameters = Mapping[str, str]
"""What fills the placeholders of an operation's path."""


class Response(AzureJsonResponse):
    """An answer; a refusal becomes one of our errors, with Azure's code and message."""

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
        raise told_when(error, self.headers)


class Connection(AzureResourceManagementConnection):
    """Takes host, port and scheme from the cloud environment. `log_in` comes before requests."""

    responseCls = Response  # noqa: N815  # libcloud's name
    # ARM's `request` takes no `retry_failed`; this one does not repeat a call that was lost
    retryCls = MinimalRetry  # type: ignore[assignment]  # noqa: N815  # libcloud's name and type

    def __init__(self, *args: Any, chain: Chain, **kwargs: Any) -> None:
        """What is not `chain` is libcloud's; `cloud_environment` is a dict."""
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # libcloud
        environment = kwargs["cloud_environment"]
        self._chain = chain
        self._login_transport = Transport(environment["activeDirectoryEndpointUrl"].rstrip("/"))
        address = require_address(environment["resourceManagerEndpointUrl"])
        self.host, self.port, self.secure = address.host, address.port, int(address.secure)
        self.access_token = ""
        self.expires_on = 0

    def connect(
        self, host: Any = None, port: Any = None, base_url: Any = None, **kwargs: Any
    ) -> None:
        """Without logging in: `log_in` does that."""
        ConnectionUserAndKey.connect(self, host, port, base_url, **kwargs)
        guard_session(self.connection)

    def forget_token(self) -> None:
        """Log in again before the next request."""
        self.expires_on = 0
        self._chain.forget()

    def log_in(self) -> None:
        """Get a token, unless there is one that lasts.

        Raises CredentialsError with the login's own message, ThrottledError when it cannot say now.
        """
        if self.expires_on > time.time() + LOGIN_MARGIN:
            return
        with self._login_transport.call(LOGIN, repeatable=True):
            self.access_token, self.expires_on = self._chain.token()

    def get_token_from_credentials(self) -> None:
        """libcloud calls this in the last minutes of a token. `log_in` was there before."""


class AzureDriver(AzureNodeDriver):
    """The Resource Manager in one subscription. Not thread-safe."""

    connectionCls: Any = Connection  # noqa: N815  # libcloud's name

    def __init__(self, config: AzureConfig, chain: Chain) -> None:
        """Connects to nothing yet."""
        environment = environment_of(config)
        self._chain = chain
        self._transport = Transport(environment["resourceManagerEndpointUrl"], UNKNOWN_OUTCOME)
        super().__init__(  # type: ignore[no-untyped-call]  # libcloud
            chain.tenant,
            chain.subscription,
            chain.client,
            "",
            timeout=TIMEOUT,
            cloud_environment=environment,
        )

    def call(
        self,
        action: Action,
        schema: type[T],
        at: PathParameters | None = None,
        *,
        body: object = None,
        query: Query | None = None,
        repeatable: bool = True,
    ) -> T:
        """Call one operation; `at` fills its path. `repeatable` False is for calls that create.

        Raises ProviderError and its kinds, with Azure's own message.
        """
        operation = action.value
        path = self.path(action, at or {})
        params = {"api-version": operation.version, **(query or {})}
        answer = self._send(action.id, operation.verb, path, params, body, repeatable=repeatable)
        return read(answer.object, schema, action.id)

    def begin(self, action: Action, at: PathParameters, query: Query) -> str:
        """Call an operation that goes on after its answer. Gives where to ask how far it is; empty
        when it is over. Raises as `call` does."""
        operation = action.value
        params = {"api-version": operation.version, **query}
        answer = self._send(
            action.id, operation.verb, self.path(action, at), params, None, repeatable=True
        )
        headers = answer.headers
        return str(headers.get("location") or headers.get("azure-asyncoperation") or "")

    def follow(self, what: str, link: str) -> None:
        """Ask how far an operation is that `begin` gave a link for. Raises as `call` does, also for
        an operation that has failed."""
        path, query = _split(link)
        self._send(what, "GET", path, query, None, repeatable=True)

    def pages(
        self,
        action: Action,
        item: type[T],
        at: PathParameters | None = None,
        query: Query | None = None,
    ) -> list[T]:
        """The items of all pages of a listing."""
        path = self.path(action, at or {})
        params = {"api-version": action.value.version, **(query or {})}

        def page(link: str | None) -> tuple[list[object], str | None]:
            at, query = _split(link) if link else (path, params)
            answer = self._send(action.id, "GET", at, query, None, repeatable=True)
            found = read(answer.object, Page, action.id)
            return found.value, found.next_link

        return [read(one, item, action.id) for one in all_pages(page, action.id)]

    def path(self, action: Action, at: PathParameters) -> str:
        """The path of an operation's URL."""
        filled = {key: quote(value, "") for key, value in at.items()}
        return action.value.path.format_map({"subscription": self.subscription_id, **filled})

    def _to_node(
        self, data: dict[str, Any], fetch_nic: bool = False, fetch_power_state: bool = False
    ) -> LibcloudNode:
        """libcloud's node for a virtual machine as the API gives it. Asks nothing more: addresses
        and states come from listings. A machine may not have its interfaces yet."""
        profile = data["properties"].setdefault("networkProfile", {})
        profile.setdefault("networkInterfaces", [])
        data["properties"].setdefault("provisioningState", "")
        node: LibcloudNode = super()._to_node(data, fetch_nic, fetch_power_state)  # type: ignore[no-untyped-call]  # libcloud
        return node

    def to_node(self, data: Mapping[str, Any]) -> LibcloudNode:
        """libcloud's node for a virtual machine as the API gives it. Leaves `data` as it is."""
        return self._to_node({**data, "properties": dict(data.get("properties") or {})})

    def _send(
        self, what: str, verb: str, path: str, params: Query, body: object, *, repeatable: bool
    ) -> Any:
        """libcloud's response."""
        connection: Any = self.connection
        connection.set_context({"call": what})
        try:
            connection.log_in()
            with self._transport.call(what, repeatable=repeatable):
                return connection.request(path, params=dict(params), data=body, method=verb)
        except CredentialsError:
            connection.forget_token()
            raise

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super()._ex_connection_class_kwargs()  # type: ignore[no-untyped-call]  # libcloud
        return {**kwargs, "chain": self._chain, "timeout": TIMEOUT}


def _split(link: str) -> tuple[str, dict[str, str]]:
    """Path and query of a link that Azure gave."""
    parts = urlsplit(link)
    return parts.path, dict(parse_qsl(parts.query))


def environment_of(config: AzureConfig) -> dict[str, str]:
    """libcloud's description of the cloud of a config.

    Raises ConfigError for an endpoint that is not an http(s) URL, and a login that is not https.
    """
    environment = dict(publicEnvironments[ENVIRONMENTS.get(config.cloud, config.cloud)])
    login = config.login_endpoint or os.environ.get(LOGIN_VARIABLE)
    if login:
        environment["activeDirectoryEndpointUrl"] = login if "://" in login else f"https://{login}"
    if endpoint := config.endpoint or os.environ.get(ENDPOINT_VARIABLE):
        environment["resourceManagerEndpointUrl"] = endpoint
    for key in ("activeDirectoryEndpointUrl", "resourceManagerEndpointUrl"):
        if address_of(environment[key]) is None:
            raise ConfigError(
                f"{environment[key]!r} is not an http(s) URL",
                hint=f"check {ENDPOINT_VARIABLE} and {LOGIN_VARIABLE}",
            )
    if not environment["activeDirectoryEndpointUrl"].startswith("https://"):
        raise ConfigError(
            f"{environment['activeDirectoryEndpointUrl']!r}: Azure's login is only by https",
            hint="check provider.azure.login_endpoint and AZURE_AUTHORITY_HOST",
        )
    return environment


def read(answer: object, schema: type[T], call: str) -> T:
    """An answer as a type. Raises ProviderError when it has another shape: reading it anyway would
    find nothing in it, and "no machines" is the most expensive misunderstanding."""
    try:
        return msgspec.convert(answer, schema)
    except msgspec.ValidationError as error:
        raise ProviderError(f"{call}: Azure's answer is not as documented: {error}") from error
