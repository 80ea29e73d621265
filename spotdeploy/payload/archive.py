"""The tar stream of a manifest: made while it is sent, so memory stays bounded."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Final

from spotdeploy.model import Manifest, PayloadFile

CHUNK: Final = 256 * 1024
MANIFEST_NAME: Final = "manifest"


def stream(manifest: Manifest) -> Iterator[bytes]:
    """The bytes of a tar archive: the manifest's text first, then every file.

    A file that changed since the manifest was built gives an archive whose digests do not match;
    the node refuses it. Raises OSError when a file is gone or shrank.
    """
    text = manifest.text.encode()
    yield _header(MANIFEST_NAME, len(text), 0o644) + text + _padding(len(text))
    for file in manifest.entries:
        yield _header(file.path, file.size, file.mode)
        yield from _content(file)
        yield _padding(file.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(file: PayloadFile) -> Iterator[bytes]:
    left = file.size
    with file.source.open("rb") as content:
        while left:
            chunk = content.read(min(CHUNK, left))
            if not chunk:
                raise OSError(f"{file.source} shrank while it was being sent")
            left -= len(chunk)
            yield chunk


def _header(path: str, size: int, mode: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    info.mode = mode
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
