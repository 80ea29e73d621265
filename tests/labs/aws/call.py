"""A request to the lab, and its answer, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree.ElementTree import Element, fromstring, tostring
from xml.sax.saxutils import escape

ACCOUNT: Final = "123456789012"
"""moto's."""
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
"""As in the examples of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html."""
MOTO_NAMESPACE = b'http://ec2.amazonaws.com/doc/2016-11-15"'
"""moto leaves out the last character, and libcloud then finds nothing."""
NAMESPACES: Final = {
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
}
"""Of the services that speak the query protocol, beside EC2."""
XML: Final = "text/xml;charset=UTF-8"
JSON: Final = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the client sent it."""

    action: str
    service: str
    region: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """The body of a call to a service that speaks JSON; such a call has no `parameters`."""

    def listed(self, name: str) -> list[str]:
        """The values of a list parameter: `InstanceId.1`, `InstanceId.2` and so on."""
        pattern = re.compile(rf"{re.escape(name)}\.(\d+)")
        found = [(pattern.fullmatch(key), value) for key, value in self.parameters.items()]
        return [value for match, value in sorted((int(m[1]), v) for m, v in found if m)]

    def filters(self) -> dict[str, list[str]]:
        """The `Filter` parameter as name to values."""
        found: dict[str, list[str]] = {}
        for key, name in self.parameters.items():
            if match := re.fullmatch(r"Filter\.(\d+)\.Name", key):
                found[name] = self.listed(f"Filter.{match[1]}.Value")
        return found

    def tags_for(self, kind: str) -> dict[str, str]:
        """What a `TagSpecification` says for one kind of resource."""
        tags: dict[str, str] = {}
        for key, value in self.parameters.items():
            if value == kind and (
                match := re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", key)
            ):
                for inner, name in self.parameters.items():
                    if inner.startswith(f"{match[1]}.Tag.") and inner.endswith(".Key"):
                        tags[name] = self.parameters[inner.removesuffix("Key") + "Value"]
        return tags


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    type: str = XML
    """Its media type."""

    @property
    def ok(self) -> bool:
        """True for success."""
        return self.status == 200

    def xml(self) -> Element:
        """The body, parsed."""
        return fromstring(self.body)


DROPPED = Reply(0, b"")
"""The connection is closed and nothing is answered."""


class AwsError(Exception):
    """An error answer of the API."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status

    def reply(self, service: str = "ec2") -> Reply:
        """As the service writes it: EC2 and the other services of the query protocol in XML,
        https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html, the rest in JSON,
        https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
        """
        error = f"<Code>{self.code}</Code><Message>{escape(self.words)}</Message></Error>"
        if service == "ec2":
            text = f"<Response><Errors><Error>{error}</Errors><RequestID>lab</RequestID></Response>"
            return Reply(self.status, text.encode())
        if service in NAMESPACES:
            text = f'<ErrorResponse xmlns="{NAMESPACES[service]}"><Error><Type>Sender</Type>{error}'
            return Reply(self.status, f"{text}<RequestId>1</RequestId></ErrorResponse>".encode())
        return document({"__type": self.code, "Message": self.words}, self.status)


def document(content: Mapping[str, Any], status: int = 200) -> Reply:
    """An answer of a service that speaks JSON."""
    return Reply(status, json.dumps(content).encode(), JSON)


def answer(root: Element) -> Reply:
    """A successful answer."""
    return Reply(200, tostring(root, default_namespace=NAMESPACE))


def named(path: str) -> str:
    """A path with EC2's namespace."""
    return "/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/"))


def get(element: Element, path: str) -> str:
    """The text at a path, or ""."""
    return element.findtext(named(path)) or ""


def put(element: Element, path: str, text: str) -> None:
    """Set the text at a path, making what is not there."""
    for step in path.split("/"):
        inner = element.find(named(step))
        if inner is None:
            inner = Element(named(step))
            element.append(inner)
        element = inner
    element.text = text


def instances(root: Element) -> Iterator[tuple[Element, Element]]:
    """Every instance of a DescribeInstances or RunInstances answer, with the set it is in."""
    for holder in root.iter(named("instancesSet")):
        for item in holder.findall(named("item")):
            yield holder, item


def tag_set(tags: Mapping[str, str]) -> Element:
    """A `tagSet`."""
    holder = Element(named("tagSet"))
    for key, value in tags.items():
        item = Element(named("item"))
        put(item, "key", key)
        put(item, "value", value)
        holder.append(item)
    return holder


def matches(filters: Mapping[str, Sequence[str]], facts: Mapping[str, str]) -> bool:
    """True when every filter has one of its values among the facts."""
    return all(facts.get(name) in values for name, values in filters.items())
