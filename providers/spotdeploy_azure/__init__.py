"""The Azure provider: Spot and regular virtual machines."""

from __future__ import annotations

from typing import Any

from spotdeploy.hookspecs import hookimpl
from spotdeploy.provider import Provider


@hookimpl
def spotdeploy_register_provider() -> type[Provider[Any]]:
    """Hand over the provider's class."""
    from spotdeploy_azure.provider import AzureProvider

    return AzureProvider
