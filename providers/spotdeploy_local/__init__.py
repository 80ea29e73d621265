"""The provider `local`: its hook, and nothing that takes time to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spotdeploy.hookspecs import hookimpl

if TYPE_CHECKING:
    from spotdeploy_local.provider import LocalProvider


@hookimpl
def spotdeploy_register_provider() -> type[LocalProvider]:
    from spotdeploy_local.provider import LocalProvider

    return LocalProvider
