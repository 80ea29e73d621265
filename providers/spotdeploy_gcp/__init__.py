"""The GCP provider: Compute Engine spot and on-demand instances."""

from __future__ import annotations

from spotdeploy.hookspecs import hookimpl
from spotdeploy.provider import Provider


@hookimpl
def spotdeploy_register_provider() -> type[Provider]:  # type: ignore[type-arg]  # any config
    """Hand over the provider's class."""
    from spotdeploy_gcp.provider import GcpProvider

    return GcpProvider
