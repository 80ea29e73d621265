"""The engine of labs and benchmarks."""

from __future__ import annotations

from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout


def default_engine() -> NspawnEngine:
    """systemd-nspawn, which alone lets others into its networks. `problems()` tells whether it can
    run."""
    return NspawnEngine(Layout.from_environment())
