"""Text that must not be shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

REDACTED: Final = "[redacted]"
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

    def reveal(self) -> str:
        """The secret itself. Raises KeyError or OSError when it is not there."""
        kind, _, rest = self._reference.partition(":")
        if kind == "env":
            return os.environ[rest]
        return Path(rest).expanduser().read_text(encoding="utf-8").strip()

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__
