"""The contract's lab leaves nothing behind, even where the cloud tells late of what it made."""

from __future__ import annotations

import pytest

from spotdeploy.errors import LostReplyError
from spotdeploy.model import Pool
from spotdeploy.testing import Facts, FakeCloud, FakeConfig, FakeProvider, ManualClock, Powers
from spotdeploy.testing.fake import faults
from spotdeploy.testing.provider_contract import Lab


def lab_of(cloud: FakeCloud, clock: ManualClock, facts: Facts, settle: float = 0.0) -> Lab:
    """A lab over a fake cloud whose provider says that listings are late by `settle`."""

    def make() -> FakeProvider:
        return FakeProvider(FakeConfig(settle=settle), "here", cloud)

    provider = make()
    offer = provider.offers(Pool(count=1))[0]
    return Lab(make, provider, offer, "shop", clock, facts, Powers(), None)


@pytest.mark.parametrize(("settle", "facts"), [(6.0, Facts()), (0.0, Facts(settle=6.0))])
def test_machines_that_begin_to_exist_after_a_lost_reply_are_cleaned_up(
    settle: float, facts: Facts
) -> None:
    clock = ManualClock()
    cloud = FakeCloud(clock=clock)
    lab = lab_of(cloud, clock, facts, settle)
    cloud.script(faults.LateCreate(seconds=5.0))
    with pytest.raises(LostReplyError):
        lab.request(lab.batch(2))
    lab.clean()
    clock.sleep(3600.0)
    assert list(cloud.billed(lab.scope)) == []


def test_machines_that_are_not_listed_yet_are_cleaned_up() -> None:
    clock = ManualClock()
    cloud = FakeCloud(clock=clock)
    lab = lab_of(cloud, clock, Facts())
    cloud.script(faults.Unlisted(seconds=20.0))
    lab.request(lab.batch(2))
    lab.clean()
    assert list(cloud.billed(lab.scope)) == []
