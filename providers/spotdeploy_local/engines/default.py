"""Which engine a host gets."""

from __future__ import annotations

from spotdeploy_local.engine import Engine
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout


def default_engine() -> Engine:
    """The engine for this host: systemd-nspawn. `problems()` tells whether it can run."""
    return NspawnEngine(Layout.from_environment())
