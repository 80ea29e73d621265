"""Every key of a config, by its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import msgspec.inspect

_TEXTUAL: Final = (
    msgspec.inspect.StrType,
    msgspec.inspect.CustomType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
)


def every_key(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """The path of every key of a config, and whether its value is written as text."""
    kind = msgspec.inspect.type_info(struct)
    assert isinstance(kind, msgspec.inspect.StructType)  # noqa: S101  # a struct's info is one
    for field in kind.fields:
        path = f"{prefix}{field.encode_name}"
        kinds = getattr(field.type, "types", (field.type,))
        if isinstance(field.type, msgspec.inspect.StructType):
            yield from every_key(field.type.cls, f"{path}.")
        else:
            yield path, any(isinstance(one, _TEXTUAL) for one in kinds)
