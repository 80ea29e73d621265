"""The images that mmdebstrap builds, by their names in a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "debian-12"
RELEASES: Final[Mapping[str, tuple[str, str]]] = {
    "debian-12": ("debian", "bookworm"),
    "debian-13": ("debian", "trixie"),
    "ubuntu-24.04": ("ubuntu", "noble"),
}
"""Distribution and code name."""
