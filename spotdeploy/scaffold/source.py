"""Where this spotdeploy was installed from, so that a new plugin's README can say how to get it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

RECORD: Final = "direct_url.json"
"""What pip writes where it was given a place and no name:
https://packaging.python.org/en/latest/specifications/direct-url/"""


class _Folder(msgspec.Struct, frozen=True):
    editable: bool = False


class _Repository(msgspec.Struct, frozen=True):
    vcs: str
    commit_id: str


class _Place(msgspec.Struct, frozen=True):
    url: str
    dir_info: _Folder | None = None
    vcs_info: _Repository | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where pip finds the spotdeploy that is installed."""

    arguments: str = ""
    """For `pip install`, with a space behind them; "" for a release, which is found by its name."""
    anywhere: bool = True
    """Whether other computers can use them."""


def source() -> Source:
    """Where the spotdeploy that is running was installed from."""
    return read(distribution("spotdeploy").read_text(RECORD))


def read(record: str | None) -> Source:
    """What pip's record of the place says; None is a release. A file or folder that is gone is
    taken for a release too."""
    if record is None:
        return Source()
    place = msgspec.json.decode(record, type=_Place)
    if place.vcs_info:
        words = f"{place.vcs_info.vcs}+{place.url}@{place.vcs_info.commit_id}"
        return Source(f"{shlex.quote(words)} ")
    url = urlsplit(place.url)
    if url.scheme != "file":
        return Source(f"{shlex.quote(place.url)} ")
    path = Path(unquote(url.path))
    editable = "-e " if place.dir_info and place.dir_info.editable else ""
    return Source(f"{editable}{shlex.quote(str(path))} ", False) if path.exists() else Source()
