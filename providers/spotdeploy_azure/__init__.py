"""The Azure provider: Spot and regular virtual machines."""

from __future__ import annotations

from spotdeploy.hookspecs import hookimpl
from spotdeploy.provider import Provider


@hookimpl
def spotdeploy_register_provider() -> type[Provider]:  # type: ignore[type-arg]  # any config
    """Hand over the provider's class."""
    from spotdeploy_azure.provider import AzureProvider

    return AzureProvider
