"""Links inside a payload: each must lead to something that is shipped as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spotdeploy.model import FileKind, PayloadFile

HOPS: Final = 40
"""Links that Linux follows on one way (MAXSYMLINKS in its namei.h)."""


class LeadsNowhereError(Exception):
    """A link that cannot work on a node; the text says why, to follow its path."""


def follow(entries: Mapping[str, PayloadFile], path: str) -> PayloadFile | None:
    """What a path leads to, through all links; None for the root of the tree itself. `entries` has
    paths relative to the tree's root.

    Raises LeadsNowhereError.
    """
    reached: list[str] = []
    ahead = path.split("/")[::-1]
    hops = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not reached:
                raise LeadsNowhereError("points out of the payload")
            reached.pop()
            continue
        reached.append(part)
        entry = entries.get("/".join(reached))
        if entry is None or (entry.kind is FileKind.FILE and ahead):
            raise LeadsNowhereError(f"points to {'/'.join(reached)}, and no such thing is shipped")
        if entry.kind is not FileKind.LINK:
            continue
        hops += 1
        if hops > HOPS:
            raise LeadsNowhereError("leads to itself")
        if entry.target.startswith("/"):
            raise LeadsNowhereError(f"points out of the payload: to {entry.target}")
        reached.pop()
        ahead += entry.target.split("/")[::-1]
    return entries["/".join(reached)] if reached else None
