"""The kinds of plugins that can be begun."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a plugin brings."""

    PROVIDER = "provider"
    CHECK = "check"
