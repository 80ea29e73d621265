"""`[provider.fake]`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import msgspec

from spotdeploy.provider import ProviderConfig
from spotdeploy.testing.fake.faults import AnyFault

PRICES: Final = {"small": 0.02, "large": 0.08}
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class FakeConfig(ProviderConfig, frozen=True):
    """What the fake cloud offers, and what goes wrong in it."""

    of_account: ClassVar = frozenset({"state", "account"})

    state: str = ".spotdeploy/fake-cloud.json"
    """The file that holds the cloud, relative to the working directory."""
    account: str = "fake-account"
    """The account's id, for the account guard."""
    locations: Names = ("here",)
    """First choice first."""
    zones: Names = ("a", "b")
    """The zones of each location, first choice first."""
    sizes: Names = ("small", "large")
    """The sizes to try, best first. Those that begin alike, up to a hyphen, are one family."""
    prices: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = msgspec.field(
        default_factory=PRICES.copy
    )
    """USD per hour on demand; spot costs a quarter. A size without one has an unknown price.
    When left out, small costs 0.02 and large 0.08."""
    settle: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds that the provider says its listings may lag behind."""
    quota_late: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds that the provider says a quota may still count what is gone."""
    faults: tuple[AnyFault, ...] = ()
    """Faults on top of those in the state file."""
