"""Text that must not be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.text import REDACTED

_SECRET_NAME: Final = re.compile(
    r"TOKEN|PASSWO?R?D|PASSPHRASE|SECRET|CREDENTIAL|AUTHORIZATION|KEYS?(?:$|[_-])", re.IGNORECASE
)
NOT_WRITTEN: Final = 'a secret is named, not written: "env:NAME" or "file:PATH"'


class Secret:
    """A reference to a secret, `env:NAME` or `file:PATH`; its value is read when it is used.

    Its repr, str and JSON show nothing. Raises ValueError when made from anything else, so that
    a secret cannot stand in a config file in the clear.
    """

    __slots__ = ("_reference",)

    def __init__(self, reference: str) -> None:
        kind, _, rest = reference.partition(":")
        if kind not in ("env", "file") or not rest:
            raise ValueError(NOT_WRITTEN)
        self._reference = reference

    @property
    def reference(self) -> str:
        """Where the secret is: what stands in the config."""
        return self._reference

    def reveal(self) -> str:
        """The secret itself. Raises KeyError or OSError when it is not there."""
        kind, _, rest = self._reference.partition(":")
        if kind == "env":
            return os.environ[rest]
        return Path(rest).expanduser().read_text(encoding="utf-8").strip()

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__


def secret_values(*sources: object) -> Iterator[str]:
    """The values in use: of every `Secret`, and of every key of a table whose name says so.

    `sources` are structs, mappings and sequences. A secret that is not there has no value.
    """
    for source in sources:
        if isinstance(source, Secret):
            yield from _revealed(source)
        elif isinstance(source, msgspec.Struct):
            yield from secret_values(*msgspec.structs.astuple(source))
        elif isinstance(source, Mapping):
            yield from (v for k, v in source.items() if isinstance(v, str) and named_secret(str(k)))
            yield from secret_values(*source.values())
        elif isinstance(source, tuple | list):
            yield from secret_values(*source)


def named_secret(name: str) -> bool:
    """True when a variable's or key's name says that its value is a secret."""
    return _SECRET_NAME.search(name) is not None


def _revealed(secret: Secret) -> Iterator[str]:
    try:
        yield secret.reveal()
    except (KeyError, OSError, UnicodeDecodeError):
        return  # not there, so not in use
