"""What is shipped to each node: the manifest of paths, modes and digests, and its own digest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import PAYLOAD, UPLOADED, Manifest, PayloadFile
from spotdeploy.payload.hashes import Digests

IGNORED: Final = frozenset({"__pycache__", ".git", ".DS_Store"})


def build_manifest(
    root: Path, uploads: Sequence[Path] = (), *, digests: Digests | None = None
) -> Manifest:
    """Read the payload tree and the files to upload.

    A folder in `uploads` gives its contents, a file itself. Links to files inside the same tree
    are shipped as the files they name. Blocks while it reads and hashes every file that `digests`
    does not know.

    Raises:
        ConfigError: a tree or file is missing, unreadable, not a plain file, escapes its root, or
            two uploads have one name.
    """
    if not root.is_dir():
        raise ConfigError(
            f"payload.path: {root} is not a folder",
            hint="run 'spotdeploy init' to write the reference payload, or correct the path",
        )
    digests = digests or Digests()
    entries = {entry.path: entry for entry in _tree(root, PAYLOAD, "payload.path", digests)}
    for upload in uploads:
        for entry in _upload(upload, digests):
            if entry.path in entries:
                raise ConfigError(
                    f"payload.upload: {upload} and {entries[entry.path].source} "
                    f"would both become /opt/{entry.path}",
                    hint="rename one of them",
                )
            entries[entry.path] = entry
    digests.save()
    return Manifest(tuple(entries[path] for path in sorted(entries)))


def _upload(upload: Path, digests: Digests) -> Iterator[PayloadFile]:
    key = "payload.upload"
    if upload.is_dir():
        yield from _tree(upload, UPLOADED, key, digests)
    elif upload.is_file():
        _require_printable(upload, key)
        yield _entry(upload, upload, f"{UPLOADED}/{upload.name}", key, digests)
    else:
        raise ConfigError(f"{key}: {upload} does not exist", hint="correct the path or remove it")


def _tree(root: Path, prefix: str, key: str, digests: Digests) -> Iterator[PayloadFile]:
    inside = root.resolve()

    def refuse(error: OSError) -> None:
        raise ConfigError(f"{key}: cannot read {error.filename}: {error.strerror}") from error

    for folder, names, files in os.walk(root, onerror=refuse):
        names[:] = sorted(set(names) - IGNORED)
        here = Path(folder)
        for name in (*names, *sorted(set(files) - IGNORED)):
            _require_printable(here / name, key)
        for name in names:
            if (here / name).is_symlink():
                raise ConfigError(
                    f"{key}: {here / name} is a link to a folder",
                    hint="replace the link by the folder itself",
                )
        for name in sorted(set(files) - IGNORED):
            source = here / name
            target = _target(source, key)
            if not target.is_relative_to(inside):
                raise ConfigError(
                    f"{key}: {source} escapes the payload: it points to {target}",
                    hint="copy the file into the payload",
                )
            relative = PurePosixPath(prefix, *source.relative_to(root).parts)
            yield _entry(source, target, str(relative), key, digests)


def _require_printable(path: Path, key: str) -> None:
    """Refuse what would break every line that names it. Raises ConfigError."""
    if not path.name.isprintable():
        raise ConfigError(
            f"{key}: {str(path)!r} has characters that cannot be printed", hint="rename it"
        )


def _target(source: Path, key: str) -> Path:
    try:
        return source.resolve()
    except (OSError, RuntimeError) as error:  # a loop is a RuntimeError before Python 3.13
        raise ConfigError(
            f"{key}: {source} is a link that leads to itself", hint="remove it"
        ) from error


def _entry(source: Path, target: Path, path: str, key: str, digests: Digests) -> PayloadFile:
    try:
        info = target.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(f"{key}: {source} is not a plain file", hint="remove it")
        digest = digests.sha256(target, info)
        return PayloadFile(path, stat.S_IMODE(info.st_mode), digest, info.st_size, target)
    except OSError as error:
        raise ConfigError(
            f"{key}: cannot read {source}: {error.strerror}", hint=f"chmod u+r {source}"
        ) from error
