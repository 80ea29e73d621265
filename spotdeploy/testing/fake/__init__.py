"""The `fake` provider: a cloud in memory or in a file, with faults by script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spotdeploy.hookspecs import hookimpl

if TYPE_CHECKING:
    from spotdeploy.testing.fake.provider import FakeProvider


@hookimpl
def spotdeploy_register_provider() -> type[FakeProvider]:
    """Hand over the provider."""
    from spotdeploy.testing.fake.provider import FakeProvider

    return FakeProvider
