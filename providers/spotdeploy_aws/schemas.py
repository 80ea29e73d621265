"""What is sent to AWS and read from its answers, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = "str | bytes | int | float | bool | Sequence[Value] | Mapping[str, Value]"
Parameters: TypeAlias = Mapping[str, Value]
"""Of an action, named as in its service's model, by which botocore checks and writes them."""
Record: TypeAlias = Mapping[str, Any]
"""An answer, or a part of one, as botocore reads it by the service's model."""


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


def text(record: Record, path: str) -> str:
    """The text at a path such as `Placement.AvailabilityZone`, or "" when there is none."""
    found: Any = record
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return "" if found is None else str(found)


def tags(record: Record) -> dict[str, str]:
    """The tags of whatever the record describes. Network interfaces call them otherwise."""
    found = record.get("Tags") or record.get("TagSet") or ()
    return {text(tag, "Key"): text(tag, "Value") for tag in found}


def filters(criteria: Mapping[str, Sequence[str]]) -> list[Parameters]:
    """The `Filters` parameter: every name must match one of its values."""
    return [{"Name": name, "Values": list(values)} for name, values in criteria.items()]
