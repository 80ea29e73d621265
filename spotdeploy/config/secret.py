"""Text that must not be shown."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import unquote

import msgspec

from spotdeploy.text import REDACTED

_SECRET_NAME: Final = re.compile(
    r"TOKEN|PASSWO?R?D|PASSPHRASE|PASSCODE|SECRET|CREDENTIAL|AUTHORIZATION|COOKIE|BEARER"
    r"|(?:^|[._-])(?:PASS|PWD|PW|PIN|DSN|JWT)(?:$|[._-])|[._-]AUTH$|(?-i:[a-z](?:Pass|Pwd|Pin)$)"
    r"|CONN(?:ECTION)?[._-]?STR(?:ING)?|KEYS?(?:$|[._-])",
    re.IGNORECASE,
)
_FOLDERS: Final = ("PWD", "OLDPWD")
"""Names of a shell's own."""
_IN_URL: Final = re.compile(r"://[^\s:/?#@]*:([^\s/?#]+)@")
_IN_HEADER: Final = re.compile(r"(bearer|basic|token|apikey)[ :]\s*(\S+)\s*", re.IGNORECASE)
NOT_WRITTEN: Final = "a secret is named, not written: "
"""How the complaint about a value begins that is no reference, so that nothing shows the value."""


class Secret:
    """A reference to a secret, `env:NAME` or `file:PATH`; its value is read when it is used.

    Its repr, str and JSON show nothing. Raises ValueError when made from anything else, so that
    a secret cannot stand in a config file in the clear.
    """

    __slots__ = ("_reference",)
    kinds: ClassVar[tuple[str, ...]] = ("env", "file")
    written: ClassVar[str] = '"env:NAME" or "file:PATH"'

    def __init__(self, reference: str) -> None:
        kind, _, rest = reference.partition(":")
        if kind not in self.kinds or not rest.strip():
            raise ValueError(NOT_WRITTEN + self.written)
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


class PayloadSecret(Secret):
    """A reference to a secret of the payload: also `command:COMMAND`, whose output it is."""

    __slots__ = ()
    kinds = ("env", "file", "command")
    written = '"env:NAME", "file:PATH" or "command:COMMAND"'

    def reveal(self) -> str:
        """Use `spotdeploy.payload.variables` instead: it bounds what is read and run."""
        raise NotImplementedError


def is_reference(value: str) -> bool:
    """True for a text that looks like a reference to a secret."""
    kind, _, rest = value.partition(":")
    return kind in PayloadSecret.kinds and bool(rest.strip())


def secret_values(*sources: object) -> Iterator[str]:
    """The values in use: of every `Secret`, of every key of a table whose name says so, and what
    of any text is a secret by its form.

    `sources` are structs, mappings and sequences. A secret that is not there has no value.
    """
    for source in sources:
        if isinstance(source, Secret):
            for value in _revealed(source):
                yield from (value, *secret_parts(value))
        elif isinstance(source, str):
            yield from secret_parts(source)
        elif isinstance(source, msgspec.Struct):
            yield from secret_values(*msgspec.structs.astuple(source))
        elif isinstance(source, Mapping):
            yield from (v for k, v in source.items() if isinstance(v, str) and named_secret(str(k)))
            yield from secret_values(*source.values())
        elif isinstance(source, tuple | list):
            yield from secret_values(*source)


def named_secret(name: str) -> bool:
    """True when a variable's or key's name says that its value is a secret."""
    return _SECRET_NAME.search(name) is not None and name not in _FOLDERS


def secret_parts(value: str) -> Iterator[str]:
    """What of a value is the secret itself: the password in a URL, what stands behind "Bearer" or
    "Basic"."""
    for found in _IN_URL.findall(value):
        yield from (found, unquote(found))
    if header := _IN_HEADER.fullmatch(value):
        yield header[2]
        if header[1].lower() == "basic":
            yield from _password(header[2])


def _password(code: str) -> Iterator[str]:
    """The password of basic authentication."""
    try:
        text = base64.b64decode(code, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return  # it is no base64, so it is the token of something else
    yield text
    yield text.partition(":")[2]


def _revealed(secret: Secret) -> Iterator[str]:
    if isinstance(secret, PayloadSecret):
        return  # read once a run, by `spotdeploy.payload.variables`
    try:
        yield secret.reveal()
    except (KeyError, OSError, UnicodeDecodeError):
        return  # not there, so not in use
