"""Standard streams that change no exit code: closed ones, readers that went away, and characters
that a terminal cannot show."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from typing import Any, Final, TextIO

from spotdeploy.text import inert

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_GONE: Final = frozenset({errno.EPIPE, errno.EIO, errno.ECONNRESET, errno.ENXIO})
"""Errors of a reader that went away: a pipe's, a terminal's, a socket's."""


def harden() -> None:
    """Make this process's standard streams such.

    A stream that was closed at the start becomes the null device, so that no file of ours gets its
    number. What nobody reads is dropped, and a character that cannot be shown is spelled out.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _null(number))
        elif number and isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
            setattr(sys, name, _lasting(number, stream))


def printed_json(text: str, stream: TextIO) -> str:
    """JSON as a stream can take it: as it is where that is UTF-8, which JSON is by its standard
    (https://www.rfc-editor.org/rfc/rfc8259#section-8.1), and else in ASCII, which is UTF-8 too. No
    text in it can act as a workflow command of GitHub."""
    text = inert(text)
    if (stream.encoding or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8"):
        return text
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


class _Outlet(io.FileIO):
    """A descriptor that takes everything once its reader is gone."""

    def write(self, data: Any, /) -> int:
        try:
            written = super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return memoryview(data).nbytes
        return written if written is not None else 0


def _lasting(number: int, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    outlet: Any = _Outlet(number, "wb", closefd=False)
    unbuffered = isinstance(stream.buffer, io.FileIO)  # of PYTHONUNBUFFERED
    return io.TextIOWrapper(
        outlet if unbuffered else io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _null(number: int) -> TextIO:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    return open(number, "w" if number else "r", encoding="utf-8", closefd=False)
