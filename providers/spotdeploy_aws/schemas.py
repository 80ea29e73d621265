"""What is sent to EC2 and read from its answers, as types, and the way from XML to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

NAMESPACE: Final = "http://ec2.amazonaws.com/doc/2016-11-15/"
Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value]"
Parameters: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Place:
    """A zone, and where in it nodes are put."""

    zone: str
    subnet: str
    vpc: str


@dataclass(frozen=True, slots=True)
class Image:
    """An AMI."""

    id: str
    root_device: str
    root_gb: int = 0
    """GiB of the snapshot that its root volume is made of; 0 is not known."""


def text(element: Element, path: str) -> str:
    """The text at a path such as `placement/availabilityZone`, or "" when there is none."""
    return (element.findtext(_named(path)) or "").strip()


def items(element: Element, path: str) -> list[Element]:
    """The `item` elements of the list at a path."""
    return element.findall(f"{_named(path)}/{_named('item')}")


def tags(element: Element) -> dict[str, str]:
    """The tags of whatever the element describes."""
    return {text(tag, "key"): text(tag, "value") for tag in items(element, "tagSet")}


def _named(path: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/"))
