"""Names of systemd units in settings."""

from __future__ import annotations

import re
from typing import Final

_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\@-]{0,254}")
"""https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html"""


def refuse_odd_unit(key: str, name: str) -> None:
    """Raises ValueError when no unit can have that name."""
    if not _UNIT.fullmatch(name):
        raise ValueError(f"{key}: {name!r} is not the name of a systemd unit")
    stem = name.rpartition(".")[0] or name
    if stem.endswith("@"):
        raise ValueError(f"{key}: {name!r} is a template; name an instance, such as {stem}1")
