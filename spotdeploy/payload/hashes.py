"""Digests of files, remembered: a file that has not changed since is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from spotdeploy.state.folder import make_private

FILE: Final = "digests.json"
RACY_NS: Final = 2_000_000_000
"""A file that changed so shortly before it was read may change again within the same tick of the
file system's clock (2 s on FAT), and look the same: its digest is not remembered."""
_CHUNK: Final = 1 << 20


class _Known(NamedTuple):
    """What a file looked like when it was read, and its digest."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Digests:
    """The sha256 of files, kept in a file between runs.

    What is kept saves reading and nothing else: when it is missing or damaged, or cannot be
    written, files are read as if it had never been there.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Read what was kept in `file`; None keeps nothing."""
        self._file = file
        self._before = _read(file) if file else {}
        self._now: dict[str, _Known] = {}

    def sha256(self, path: Path, info: os.stat_result) -> str:
        """The digest of a file that looks like `info`. Blocks while it reads.

        Raises OSError when it cannot be read.
        """
        known = self._before.get(str(path))
        if known is None or known != _seen(info, known.sha256):
            began = time.time_ns()
            known = _seen(info, _sha256(path))
            settled = began - max(info.st_mtime_ns, info.st_ctime_ns) > RACY_NS
            if not settled or known != _seen(path.stat(), known.sha256):
                return known.sha256
        self._now[str(path)] = known
        return known.sha256

    def save(self) -> None:
        """Keep the digests asked for, and no others, in place of what was kept."""
        if self._file is None or self._now == self._before:
            return
        with contextlib.suppress(OSError):  # files are read again next time
            _replace(self._file, msgspec.json.encode(self._now))


def _read(file: Path) -> dict[str, _Known]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _replace(file: Path, data: bytes) -> None:
    make_private(file.parent)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(handle, "wb") as half:
            half.write(data)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _seen(info: os.stat_result, sha256: str) -> _Known:
    return _Known(
        info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev, sha256
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_parts(paths: Iterable[Path]) -> Iterator[bytes]:
    """Names and digests of files, in an order of their own. What Python or an editor keeps beside
    them does not count. Blocks while it reads all of them; raises OSError."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            below = file.relative_to(path).parts
            noise = any(part.startswith((".", "__pycache__")) for part in below)
            if file.is_file() and not noise:
                yield os.fsencode(file) + b"\0" + hashlib.sha256(file.read_bytes()).digest()
