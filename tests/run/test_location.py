"""Calls of a location are repeated with patience, and cancelled at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from spotdeploy.errors import ThrottledError
from spotdeploy.model import Node
from spotdeploy.patience import PATIENCE
from spotdeploy.run.location import Location
from spotdeploy.testing.clock import ManualClock
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider
from tests.properties import virtual

SCOPE = {"spotdeploy-deployment": "demo"}


def throttled(times: int) -> tuple[Location, FakeCloud]:
    """A location whose listings are throttled so often; 0 is always."""
    cloud = FakeCloud(script=[faults.Throttled(call="nodes", times=times)])
    return Location(FakeProvider(FakeConfig(), "here", cloud), "here"), cloud


class Asked(FakeProvider):
    """Refuses the first listing for as long as it says."""

    retry_after = 900.0

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        if self.retry_after:
            error = ThrottledError("come back later")
            error.retry_after, self.retry_after = self.retry_after, 0.0
            raise error
        return super().nodes(labels)


def test_a_storm_that_ends_within_two_minutes_is_sat_out() -> None:
    location, cloud = throttled(12)
    clock = ManualClock()
    assert virtual.run(clock, location.nodes(SCOPE)) == []
    assert cloud.count("nodes") == 13


def test_a_storm_without_end_is_an_error_after_two_minutes() -> None:
    location, _ = throttled(0)
    clock = ManualClock()
    began = clock.now()
    with pytest.raises(ThrottledError):
        virtual.run(clock, location.nodes(SCOPE))
    assert clock.now() - began == pytest.approx(PATIENCE, abs=0.01)


def test_the_clouds_own_time_is_waited_for_even_when_it_is_longer() -> None:
    clock = ManualClock()
    began = clock.now()
    location = Location(Asked(FakeConfig(), "here", FakeCloud()), "here")
    assert virtual.run(clock, location.nodes(SCOPE)) == []
    assert 900.0 <= clock.now() - began < 910.0


def test_a_long_wait_is_told_and_a_short_one_is_not() -> None:
    told: list[str] = []
    provider = Asked(FakeConfig(), "here", FakeCloud())
    virtual.run(ManualClock(), Location(provider, "here", told.append).nodes(SCOPE))
    (line,) = told
    assert line.startswith("fake here: asking again in 15m")
    assert line.endswith(": come back later")
    provider.retry_after = 2.0
    virtual.run(ManualClock(), Location(provider, "here", told.append).nodes(SCOPE))
    assert told == [line]


def test_the_time_of_a_phase_ends_a_long_wait() -> None:
    clock = ManualClock()
    began = clock.now()
    location = Location(Asked(FakeConfig(), "here", FakeCloud()), "here")

    async def phase() -> None:
        async with asyncio.timeout(600.0):
            await location.nodes(SCOPE)

    with pytest.raises(TimeoutError):
        virtual.run(clock, phase())
    assert clock.now() - began == pytest.approx(600.0, abs=0.01)


async def test_a_pause_is_cancelled_at_once() -> None:
    location = Location(Asked(FakeConfig(), "here", FakeCloud()), "here")
    task = asyncio.create_task(location.nodes(SCOPE))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1.0
    location.close()
