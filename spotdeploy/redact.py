"""Taking the values of secrets out of everything that is shown or kept."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import msgspec

from spotdeploy.text import REDACTED

SHORTEST: Final = 4
"""Shorter values are left alone: a password of "1" would take every 1 out of the evidence."""
_BASE64_END: Final = r"[A-Za-z0-9+/]{0,4}={0,2}"
T = TypeVar("T")


class Redactor:
    """Replaces secrets by "[redacted]": as they are, line by line, and in the encodings in which
    programs print them (base64, URL, JSON)."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        values = tuple(values)
        plain = {form for value in values for form in _spellings(value)}
        encoded = {_base64(value) for value in values if len(value.strip()) >= SHORTEST}
        self._secrets = sorted(
            (form for form in plain | encoded if len(form) >= SHORTEST), key=len, reverse=True
        )
        forms = (re.escape(s) + (_BASE64_END if s in encoded else "") for s in self._secrets)
        self._pattern = re.compile("|".join(forms))

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self._pattern.sub(REDACTED, text) if self._secrets else text

    def excerpt(self, text: str) -> str:
        """Text that was cut out of a longer one: a secret that was cut in two goes as well."""
        text = self.text(text)
        head = max((_overlap(text, secret, head=True) for secret in self._secrets), default=0)
        tail = max((_overlap(text, secret, head=False) for secret in self._secrets), default=0)
        text = REDACTED + text[head:] if head else text
        return text[: len(text) - tail] + REDACTED if tail else text

    def anything(self, value: T) -> T:
        """The same value, without secrets in any of its texts: structs, dataclasses, tuples,
        lists and mappings are walked."""
        return cast("T", self._walk(value)) if self._secrets else value

    def _walk(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple | list):
            return type(value)(map(self._walk, value))
        if isinstance(value, Mapping):
            return {key: self._walk(one) for key, one in value.items()}
        if isinstance(value, msgspec.Struct):
            fields = msgspec.structs.asdict(value)
            return msgspec.structs.replace(value, **{k: self._walk(v) for k, v in fields.items()})
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return dataclasses.replace(
                value, **{name: self._walk(getattr(value, name)) for name in names}
            )
        return value


def _spellings(value: str) -> set[str]:
    lines = [line.strip() for line in value.splitlines()]
    whole = value.strip()
    return {whole, *lines, quote(whole, safe=""), json.dumps(whole)[1:-1]}


def _base64(value: str) -> str:
    """The part of its base64 that does not depend on what follows, such as a newline."""
    data = value.strip().encode()
    return base64.b64encode(data[: len(data) // 3 * 3]).decode()


def _overlap(text: str, secret: str, *, head: bool) -> int:
    """How much of the secret, if it was cut there, stands at the text's head or tail."""
    for size in range(min(len(secret) - 1, len(text)), SHORTEST - 1, -1):
        if head and text.startswith(secret[-size:]):
            return size
        if not head and text.endswith(secret[:size]):
            return size
    return 0
