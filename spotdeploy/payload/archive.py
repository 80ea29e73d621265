"""The tar stream of a manifest: made while it is sent, so memory stays bounded."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Final

from spotdeploy.model import FileKind, Manifest, PayloadFile

CHUNK: Final = 256 * 1024
MANIFEST_NAME: Final = "manifest"
_TYPES: Final = {
    FileKind.FILE: tarfile.REGTYPE,
    FileKind.FOLDER: tarfile.DIRTYPE,
    FileKind.LINK: tarfile.SYMTYPE,
}


def stream(manifest: Manifest) -> Iterator[bytes]:
    """The bytes of a tar archive, in chunks of at most about twice `CHUNK`: the manifest's text
    first, then every entry.

    A file that changed since the manifest was built gives an archive whose digests do not match;
    the node refuses it. Raises OSError when a file is gone or shrank.
    """
    waiting: list[bytes] = []
    size = 0
    for piece in _pieces(manifest):
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _pieces(manifest: Manifest) -> Iterator[bytes]:
    text = manifest.text.encode()
    yield _header(MANIFEST_NAME, len(text)) + text + _padding(len(text))
    for entry in manifest.entries:
        yield _header(
            entry.path, entry.size, entry.mode, _TYPES[entry.kind], entry.target, entry.modified
        )
        if entry.kind is FileKind.FILE:
            yield from _content(entry)
            yield _padding(entry.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(file: PayloadFile) -> Iterator[bytes]:
    left = file.size
    with file.source.open("rb", buffering=0) as content:
        while left:
            chunk = content.read(min(CHUNK, left))
            if not chunk:
                raise OSError(f"{file.source} shrank while it was being sent")
            left -= len(chunk)
            yield chunk


def _header(
    path: str,
    size: int,
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
    modified: int = 0,
) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.type, info.linkname = size, mode, kind, target
    info.mtime = modified
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
