"""Every key of a config, by its path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import msgspec.inspect

_TEXTUAL: Final = (
    msgspec.inspect.StrType,
    msgspec.inspect.CustomType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
)


@dataclass(frozen=True, slots=True)
class Forms:
    """How the value of a key may be written."""

    text: bool
    other: bool
    """As a number, a list or a table."""


def every_key(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Forms]]:
    """The path of every key of a config, and how its value may be written."""
    kind = msgspec.inspect.type_info(struct)
    assert isinstance(kind, msgspec.inspect.StructType)  # noqa: S101  # a struct's info is one
    for field in kind.fields:
        path = f"{prefix}{field.encode_name}"
        its = field.type.type if isinstance(field.type, msgspec.inspect.Metadata) else field.type
        kinds = getattr(its, "types", (its,))
        if isinstance(its, msgspec.inspect.StructType):
            yield from every_key(its.cls, f"{path}.")
        else:
            textual = {isinstance(one, _TEXTUAL) for one in kinds if not _is_none(one)}
            yield path, Forms(text=True in textual, other=False in textual)


def _is_none(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.NoneType)
