"""libcloud's EC2 driver with the gaps closed that would cost machines.

POST instead of GET (user-data and long lists of ids do not fit a URL), signature version 4 only,
every listing followed to its last page, answers of an unknown shape refused instead of read as
empty, errors typed, credentials renewed while it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from libcloud.common.aws import SignedAWSConnection
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node as LibcloudNode
from libcloud.compute.base import NodeDriver
from libcloud.compute.drivers.ec2 import BaseEC2NodeDriver, EC2Response

from spotdeploy.errors import ProviderError
from spotdeploy.labels import ANY
from spotdeploy.provider import require_labels
from spotdeploy_aws.actions import Action
from spotdeploy_aws.auth import Keys
from spotdeploy_aws.errors import CODES, UNKNOWN_OUTCOME
from spotdeploy_aws.schemas import NAMESPACE, Parameters, Value, items, text
from spotdeploy_libcloud.paging import all_pages
from spotdeploy_libcloud.transport import Transport, keep_authorization, require_address

PAGE: Final = 1000
TIMEOUT: Final = 60.0


class Response(EC2Response):
    """An answer; an error answer becomes one of our errors, with AWS's code and message."""

    def parse_error(self) -> str:
        """Always raises."""
        connection, body = cast("Connection", self.connection), self.body or ""
        call = connection.context.get("call", "the call")
        root = _parse(body)
        if root is None and self.status < 500:
            raise MalformedResponseError("not XML", body=body)
        code = _find(root, "Code") or f"HTTP {self.status}"
        raise CODES.error(code, _find(root, "Message") or "no message", self.status, call)


class Connection(SignedAWSConnection):
    """A signed connection that takes the driver's present keys for every request."""

    responseCls = Response  # noqa: N815  # libcloud's name
    service_name = "ec2"
    version = "2016-11-15"

    def connect(self, *args: Any, **kwargs: Any) -> None:
        """As libcloud, with the certificates that AWS tools trust, and the signature kept."""
        super().connect(*args, **kwargs)  # type: ignore[no-untyped-call]  # libcloud
        connection: Any = self.connection
        keep_authorization(connection)
        connection.ca_cert = cast("QueryDriver", self.driver).ca_bundle or connection.ca_cert

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """Put the present keys in place; called just before signing."""
        keys = cast("QueryDriver", self.driver).keys()
        self.token = keys.token
        self.signer.access_key = keys.access
        self.signer.access_secret = keys.secret
        super().add_default_headers(headers)  # type: ignore[no-untyped-call]  # libcloud
        return headers


class StsConnection(Connection):
    """The same for the service that knows who we are."""

    service_name = "sts"
    version = "2011-06-15"


class QueryDriver(NodeDriver):
    """Calls actions of an AWS query API by name."""

    connectionCls: Any = Connection  # noqa: N815  # libcloud's name
    signature_version = "4"
    namespace = NAMESPACE

    def __init__(
        self, region: str, endpoint: str, keys: Callable[[], Keys], ca_bundle: str | None = None
    ) -> None:
        """Connects to nothing yet. `endpoint` is a URL; `keys` is asked before every request;
        `ca_bundle` is a file of certificates to trust instead of the usual ones."""
        address = require_address(endpoint)
        self.keys = keys
        self.ca_bundle = ca_bundle
        self.region_name = region
        self.country = ""
        self.token = None
        self._path = address.path or "/"
        self._transport = Transport(endpoint, UNKNOWN_OUTCOME)
        super().__init__(  # type: ignore[no-untyped-call]  # libcloud
            "",
            "",
            secure=address.secure,
            host=address.host,
            port=address.port,
            timeout=TIMEOUT,
        )

    def call(
        self, action: str, parameters: Parameters | None = None, *, repeatable: bool = True
    ) -> Element:
        """Call one action and return its answer. `repeatable` False is for calls that create.

        Raises ProviderError and its kinds, with AWS's own message.
        """
        what = f"{action} in {self.region_name}"
        body = urlencode(
            flatten({"Action": action, "Version": self.connectionCls.version, **(parameters or {})})
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        self.connection.set_context({"call": what})
        with self._transport.call(what, repeatable=repeatable):
            answer = self.connection.request(
                self._path, data=body, headers=headers, method="POST", retry_failed=False
            ).object
        return self._expected(action, answer, what)

    def _expected(self, action: str, answer: Any, what: str) -> Element:
        """The answer itself, if it is the answer to this action. Reading anything else would find
        no items in it, and "no machines" is the most expensive misunderstanding. So is reading
        one in another version's namespace, as stand-ins for AWS write it: it is renamed."""
        tag = getattr(answer, "tag", type(answer).__name__)
        namespace, _, name = str(tag).rpartition("}")
        if name != f"{action}Response":
            raise ProviderError(f"{what}: the answer is not a {action}Response but {tag!r}")
        if namespace != f"{{{self.namespace}":
            for element in answer.iter():
                element.tag = f"{{{self.namespace}}}{element.tag.rpartition('}')[2]}"
        root: Element = answer
        return root

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        return {"signature_version": self.signature_version}


class StsDriver(QueryDriver):
    """Asks who we are."""

    connectionCls = StsConnection  # noqa: N815  # libcloud's name
    namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

    def caller(self) -> tuple[str, str]:
        """The account's id and the identity's ARN. Needs no permission."""
        answer = self.call("GetCallerIdentity")
        return _find(answer, "Account"), _find(answer, "Arn")


class Ec2Driver(QueryDriver, BaseEC2NodeDriver):
    """EC2 in one region. Not thread-safe."""

    name = "Amazon EC2"

    def call(
        self, action: Action | str, parameters: Parameters | None = None, *, repeatable: bool = True
    ) -> Element:
        """Call one of the actions in `Action`."""
        return super().call(Action(action), parameters, repeatable=repeatable)

    def pages(self, action: Action, path: str, parameters: Parameters) -> list[Element]:
        """The items at `path` of all pages of a listing."""

        def page(token: str | None) -> tuple[list[Element], str]:
            cursor = {"NextToken": token} if token else {}
            answer = self.call(action, {**parameters, **cursor})
            return items(answer, path), text(answer, "nextToken")

        return all_pages(page, f"{action} in {self.region_name}")

    def regions(self) -> list[str]:
        """The regions that are enabled for the account."""
        answer = self.call(Action.DESCRIBE_REGIONS)
        return [text(region, "regionName") for region in items(answer, "regionInfo")]

    def list_nodes(  # type: ignore[override]  # libcloud says str for what is a list
        self,
        ex_node_ids: Sequence[str] | None = None,
        ex_filters: Mapping[str, Sequence[str]] | None = None,
    ) -> list[LibcloudNode]:
        """The instances with these ids, or those that match the filters, from all pages."""
        parameters: Parameters = {"Filter": filters(ex_filters or {}), "MaxResults": PAGE}
        if ex_node_ids is not None:
            parameters = {"InstanceId": list(ex_node_ids)}
        reservations = self.pages(Action.DESCRIBE_INSTANCES, "reservationSet", parameters)
        return [node for reservation in reservations for node in self.instances_in(reservation)]

    def instances_in(self, reservation: Element) -> list[LibcloudNode]:
        """The instances of a reservation: of one item of a listing, or of a RunInstances answer."""
        return [self._to_node(instance) for instance in items(reservation, "instancesSet")]

    def _to_node(self, element: Element) -> LibcloudNode:
        node: LibcloudNode = super()._to_node(element)  # type: ignore[no-untyped-call]  # libcloud
        node.extra["reason_code"] = text(element, "stateReason/code")
        node.extra["reason_message"] = text(element, "stateReason/message")
        return node


def flatten(parameters: Parameters) -> dict[str, str]:
    """`{"Filter": [{"Name": "a", "Value": ["b"]}]}` becomes `Filter.1.Name=a` and so on.

    Names are those of EC2's query language:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html. Booleans become
    `true` and `false`; an empty list or mapping leaves nothing.
    """
    return dict(_walk("", parameters))


def _walk(path: str, value: Value) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, bool):
        yield path, "true" if value else "false"
    elif isinstance(value, str | int | float):
        yield path, str(value)
    else:
        for number, inner in enumerate(value, 1):
            yield from _walk(f"{path}.{number}", inner)


def filters(criteria: Mapping[str, Sequence[str]]) -> list[Parameters]:
    """The `Filter` parameter: every name must match one of its values."""
    return [{"Name": name, "Value": list(values)} for name, values in criteria.items()]


def tag_filters(labels: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """The filters that select what carries all these labels. Raises ValueError for none."""
    require_labels(labels)
    keys = [key for key, value in labels.items() if value == ANY]
    exact = {f"tag:{key}": [value] for key, value in labels.items() if value != ANY}
    return {**exact, **({"tag-key": keys} if keys else {})}


def _parse(body: str) -> Element | None:
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        return fromstring(body)  # noqa: S314  # from AWS over TLS; expat 2.4.1 bounds entities
    except ParseError:
        return None


def _find(root: Element | None, name: str) -> str:
    """The text of the first element of that name, in any namespace."""
    for element in root.iter() if root is not None else ():
        if element.tag.rpartition("}")[2] == name:
            return (element.text or "").strip()
    return ""
