"""The payload's entry: how it is run, and whether it can be, as far as that shows here."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import PAYLOAD, UPLOADED, FileKind, Manifest, PayloadFile
from spotdeploy.node import paths
from spotdeploy.payload.ignore import FILE
from spotdeploy.payload.links import LeadsNowhereError, follow
from spotdeploy.project import Project

BY_ENDING: Final = {".py": ("/usr/bin/python3", "-B"), ".sh": ("/bin/sh",)}
_FIRST_LINE: Final = 4096
"""Bytes read to find it; Linux reads 256 of a `#!` line (BINPRM_BUF_SIZE in its binfmts.h)."""
_UTF_8_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_NEVER_THERE: Final = ("/Users", "/opt/homebrew", "/tmp", "/run", "/dev", "/proc")  # noqa: S108  # none is written to
"""Folders of other systems, and those that are empty or no files when a machine boots."""
_SHIPPED: Final = {paths.PAYLOAD: PAYLOAD, paths.UPLOADED: UPLOADED}


def read_entry(project: Project, manifest: Manifest) -> tuple[str, ...]:
    """The command that runs the entry on a node.

    Raises ConfigError when it is not shipped, or could not be run there.
    """
    entry = PurePosixPath(project.config.payload.entry)
    file = _shipped(project, manifest, entry)
    with file.source.open("rb") as content:
        first = content.readline(_FIRST_LINE)
    _require_unix_text(file.source, first, entry.suffix)
    path = f"{paths.PAYLOAD}/{entry}"
    if not file.mode & 0o100 and entry.suffix not in BY_ENDING:
        raise ConfigError(
            f"payload.entry: {file.source} is not executable",
            hint=f"chmod +x {file.source}; in git, 'git update-index --chmod=+x' keeps that",
        )
    if not first.startswith(b"#!"):
        return (*BY_ENDING.get(entry.suffix, ()), path)
    interpreter, *argument = os.fsdecode(first[2:]).strip().split(maxsplit=1) or [""]
    if objection := _never_there(project, manifest, interpreter):
        raise ConfigError(
            f"payload.entry: the first line of {file.source} names {interpreter!r} as its "
            f"interpreter, {objection}",
            hint="name one that the image has, such as '#!/bin/sh' or '#!/usr/bin/env python3'",
        )
    return (interpreter, *argument, path)


def _shipped(project: Project, manifest: Manifest, entry: PurePosixPath) -> PayloadFile:
    here = project.resolve(project.config.payload.path) / entry
    below = f"{PAYLOAD}/"
    tree = {e.path.removeprefix(below): e for e in manifest.entries if e.path.startswith(below)}
    try:
        found = follow(tree, str(entry))
    except LeadsNowhereError as error:
        left_out = f"is left out: see {FILE}" if os.path.lexists(here) else "does not exist"
        raise ConfigError(
            f"payload.entry: {here} {left_out}",
            hint="name the script that deploys the payload, relative to path",
        ) from error
    if found is None or found.kind is not FileKind.FILE:
        raise ConfigError(f"payload.entry: {here} is a folder", hint="name a file in it")
    return found


def _require_unix_text(source: Path, first: bytes, suffix: str) -> None:
    """Refuse what editors of other systems write and Linux does not run. Python reads it all, but
    for a `#!` line. Raises ConfigError."""
    script = first.startswith(b"#!") or suffix == ".sh"
    if script and b"\r" in first:
        raise ConfigError(
            f"payload.entry: the first line of {source} ends as on Windows (CRLF), so Linux "
            "cannot run it",
            hint=f"sed -i 's/\\r$//' {source}; in git, '* text=auto eol=lf' in .gitattributes "
            "keeps that",
        )
    marked = first.startswith(_UTF_8_MARK) and suffix != ".py"
    if marked or first.startswith(_UTF_16_MARKS):
        raise ConfigError(
            f"payload.entry: {source} begins with a byte order mark, so Linux cannot run it",
            hint="save it as UTF-8 without BOM",
        )


def _never_there(project: Project, manifest: Manifest, interpreter: str) -> str:
    """Why a node cannot have this interpreter, whatever its image; empty when it may."""
    path = PurePosixPath(interpreter)
    if not interpreter.isprintable() or not path.is_absolute():
        return "which is no absolute path"
    for home, prefix in _SHIPPED.items():
        if path.is_relative_to(home):
            shipped = {entry.path for entry in manifest.entries}
            there = f"{prefix}/{path.relative_to(home)}" in shipped
            return "" if there else "and nothing of that name is shipped"
    here = {str(Path.home()), str(project.path.parent)} - {"/", "/root"}
    if any(path.is_relative_to(folder) for folder in (*_NEVER_THERE, *here)):
        return "which is on this computer only"
    return ""
