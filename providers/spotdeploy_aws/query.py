"""EC2's query language: nested data to flat parameters, and answers to text.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element

from spotdeploy.labels import ANY

NAMESPACE: Final = "http://ec2.amazonaws.com/doc/2016-11-15/"
Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value]"
Parameters: TypeAlias = Mapping[str, Value]


def flatten(parameters: Parameters) -> dict[str, str]:
    """`{"Filter": [{"Name": "a", "Value": ["b"]}]}` becomes `Filter.1.Name=a` and so on.

    Names are those of the wire. Booleans become `true` and `false`; an empty list or mapping
    leaves nothing.
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


def filters(wanted: Mapping[str, Sequence[str]]) -> list[Parameters]:
    """The `Filter` parameter: every name must match one of its values."""
    return [{"Name": name, "Value": list(values)} for name, values in wanted.items()]


def tag_filters(labels: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """The filters that select what carries all these labels.

    Raises ValueError when there are none: such a listing would name machines that are not ours.
    """
    if not labels:
        raise ValueError("a listing needs at least one label")
    keys = [key for key, value in labels.items() if value == ANY]
    exact = {f"tag:{key}": [value] for key, value in labels.items() if value != ANY}
    return {**exact, **({"tag-key": keys} if keys else {})}


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
