"""The provider `podman` for spotdeploy. Nothing but the hook, so that loading it stays cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spotdeploy.hookspecs import hookimpl

if TYPE_CHECKING:
    from spotdeploy.provider import Provider


@hookimpl
def spotdeploy_register_provider() -> type[Provider[Any]]:
    """Hand over the class."""
    from spotdeploy_podman.provider import PodmanProvider

    return PodmanProvider
