"""Each fault of the fake cloud does what it says, where and when the script says."""

from __future__ import annotations

import msgspec
import pytest

from spotdeploy import labels
from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    ThrottledError,
)
from spotdeploy.model import Batch, FateKind, Market, MarketPolicy, Node, NodeState, Offer, Pool
from spotdeploy.testing import FakeCloud, FakeProvider, ManualClock
from spotdeploy.testing.fake import faults

SCOPE = labels.scope("shop")
OFFER = Offer("fake", "here", "a", "small", Market.SPOT, 0.005)


def batch(count: int = 1, token: str = "t-1", time_to_live: float = 3600.0) -> Batch:
    given = labels.for_batch("shop", "run-1", token, "0" * 64, 9e9)
    return Batch(token, count, given, b"", "spotdeploy", time_to_live=time_to_live)


def made(provider: FakeProvider, count: int = 1, token: str = "t-1") -> tuple[Node, ...]:
    return provider.create(OFFER, batch(count, token)).nodes


def listed(provider: FakeProvider) -> set[str]:
    return {node.id for node in provider.nodes(SCOPE)}


def states(provider: FakeProvider) -> list[NodeState]:
    return [node.state for node in provider.nodes(SCOPE)]


def test_no_capacity_holds_for_its_place_and_for_ever(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.NoCapacity(zone="a", size="small"))
    for _ in range(3):
        with pytest.raises(CapacityError):
            made(fake_provider)
    assert fake_cloud.billed() == []
    for offer in (
        msgspec.structs.replace(OFFER, zone="b"),
        msgspec.structs.replace(OFFER, size="large"),
    ):
        assert fake_provider.create(offer, batch(token=str(offer))).nodes


@pytest.mark.parametrize("market", list(Market))
def test_no_capacity_may_hold_for_one_market(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, market: Market
) -> None:
    fake_cloud.script(faults.NoCapacity(market=market))
    pool = Pool(1, MarketPolicy.SPOT_THEN_ON_DEMAND)
    for number, offer in enumerate(fake_provider.offers(pool)):
        if offer.market is market:
            with pytest.raises(CapacityError):
                fake_provider.create(offer, batch(token=f"t-{number}"))
        else:
            assert fake_provider.create(offer, batch(token=f"t-{number}")).nodes


def test_a_quota_counts_what_lives(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.Quota(limit=3))
    assert len(made(fake_provider, 2, "t-1")) == 2
    created = fake_provider.create(OFFER, batch(2, "t-2"))
    assert (len(created.nodes), bool(created.shortfall)) == (1, True)
    with pytest.raises(QuotaError):
        made(fake_provider, 1, "t-3")
    fake_provider.destroy(created.nodes)
    fake_clock.sleep(1)
    assert len(made(fake_provider, 1, "t-4")) == 1


def test_a_partial_fill_hits_once(fake_cloud: FakeCloud, fake_provider: FakeProvider) -> None:
    fake_cloud.script(faults.PartialFill(give=1))
    created = fake_provider.create(OFFER, batch(3))
    assert (len(created.nodes), bool(created.shortfall)) == (1, True)
    assert len(made(fake_provider, 2, "t-2")) == 2


def test_a_late_create_gives_no_answer_and_its_machines_appear_later(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.LateCreate(seconds=20))
    with pytest.raises(LostReplyError):
        made(fake_provider, 2)
    assert listed(fake_provider) == set()
    assert len([id_ for id_ in fake_cloud.billed() if id_.startswith("m-")]) == 2
    fake_clock.sleep(20)
    assert len(listed(fake_provider)) == 2


def test_the_token_of_a_late_create_never_makes_a_second_set(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.LateCreate(seconds=20))
    with pytest.raises(LostReplyError):
        made(fake_provider, 2)
    again = made(fake_provider, 2)
    fake_clock.sleep(20)
    assert listed(fake_provider) == {node.id for node in again}


def test_a_lost_reply_of_create_has_its_effect(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.LostReply())
    with pytest.raises(LostReplyError):
        made(fake_provider, 2)
    assert len(listed(fake_provider)) == 2


def test_a_lost_reply_of_destroy_has_its_effect(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    nodes = made(fake_provider, 2)
    fake_cloud.script(faults.LostReply(call="destroy"))
    with pytest.raises(LostReplyError):
        fake_provider.destroy(nodes)
    fake_clock.sleep(1)
    assert listed(fake_provider) == set()


def test_what_was_just_made_may_be_unlisted_for_some_seconds(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.Unlisted(seconds=5))
    nodes = made(fake_provider)
    assert listed(fake_provider) == set()
    fake_clock.sleep(5)
    assert listed(fake_provider) == {nodes[0].id}


def test_what_was_just_made_may_be_unlisted_for_some_listings(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.Unlisted(listings=2))
    made(fake_provider)
    assert [len(listed(fake_provider)) for _ in range(3)] == [0, 0, 1]


def test_a_listing_may_blink_once(fake_cloud: FakeCloud, fake_provider: FakeProvider) -> None:
    made(fake_provider, 3)
    fake_cloud.script(faults.Blink(at=2, nodes=2))
    assert [len(listed(fake_provider)) for _ in range(3)] == [3, 1, 3]


def test_throttling_comes_in_a_burst_and_has_no_effect(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.Throttled(call="create", times=3))
    for _ in range(3):
        with pytest.raises(ThrottledError):
            made(fake_provider)
    assert fake_cloud.billed() == []
    assert len(made(fake_provider)) == 1


def test_credentials_expire_at_a_call_and_stay_expired(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.ExpiredCredentials(at=3))
    made(fake_provider)
    assert listed(fake_provider)
    for _ in range(2):
        with pytest.raises(CredentialsError):
            listed(fake_provider)
    fake_cloud.heal()
    assert listed(fake_provider)


def test_an_outage_is_a_plain_provider_error(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.Outage(call="nodes"))
    with pytest.raises(ProviderError, match="internal error"):
        listed(fake_provider)
    assert listed(fake_provider) == set()


def test_a_slow_call_takes_its_time_and_then_has_its_effect(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.SlowCall(call="create", seconds=90))
    before = fake_clock.now()
    (node,) = made(fake_provider)
    assert fake_clock.now() == before + 90
    assert node.created_at == before + 90


@pytest.mark.parametrize(
    ("ending", "fate", "left"),
    [
        ("interrupted", FateKind.INTERRUPTED, []),
        ("preempted", FateKind.INTERRUPTED, [NodeState.STOPPED]),
        ("stopped", FateKind.STOPPED, [NodeState.STOPPED]),
        ("vanished", FateKind.VANISHED, []),
    ],
)
def test_machines_end_by_themselves_in_four_ways(
    fake_cloud: FakeCloud,
    fake_provider: FakeProvider,
    fake_clock: ManualClock,
    ending: faults.Ending,
    fate: FateKind,
    left: list[NodeState],
) -> None:
    fake_cloud.script(faults.InterruptionAfter(seconds=60, ending=ending))
    (node,) = made(fake_provider)
    fake_clock.sleep(59)
    assert fake_provider.fate(node).kind is FateKind.ALIVE
    fake_clock.sleep(1)
    assert fake_provider.fate(node).kind is fate
    assert states(fake_provider) == left


def test_an_interruption_at_a_step_hits_living_machines_of_that_place(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    first, second, third = made(fake_provider, 3)
    fake_cloud.script(faults.InterruptionAt(call="nodes", at=2, nodes=2))
    assert listed(fake_provider) == {first.id, second.id, third.id}
    assert listed(fake_provider) == {third.id}
    assert fake_provider.fate(first).kind is FateKind.INTERRUPTED
    assert fake_provider.fate(third).kind is FateKind.ALIVE


def test_going_may_be_slow(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.SlowGoing(seconds=30))
    fake_provider.destroy(made(fake_provider))
    fake_clock.sleep(29)
    assert states(fake_provider) == [NodeState.GOING]
    fake_clock.sleep(1)
    assert states(fake_provider) == []


def test_a_refused_destroy_names_the_node_and_ends_the_others(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    first, second = made(fake_provider, 2)
    fake_cloud.script(faults.RefuseDestroy(times=2))
    for _ in range(2):
        with pytest.raises(ProviderError, match=first.id):
            fake_provider.destroy([first, second])
    fake_clock.sleep(1)
    assert listed(fake_provider) == {first.id}
    fake_provider.destroy([first, second])
    fake_clock.sleep(1)
    assert listed(fake_provider) == set()


def test_a_stuck_machine_goes_only_when_the_cloud_is_healed(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.Stuck())
    first, second = made(fake_provider, 2)
    fake_provider.destroy([first, second])
    fake_clock.sleep(1000)
    assert states(fake_provider) == [NodeState.GOING]
    assert fake_cloud.billed()[0] == first.id
    fake_cloud.heal()
    assert states(fake_provider) == []


def test_a_group_cannot_go_before_its_machines(
    fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    nodes = made(fake_provider)
    groups = fake_provider.leftovers(SCOPE)
    fake_provider.destroy(nodes)
    fake_provider.release(groups)
    assert fake_provider.leftovers(SCOPE) == groups
    fake_clock.sleep(1)
    fake_provider.release(groups)
    assert fake_provider.leftovers(SCOPE) == []


def test_a_stuck_resource_is_never_released(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.StuckResource())
    fake_provider.destroy(made(fake_provider))
    fake_clock.sleep(1)
    groups = fake_provider.leftovers(SCOPE)
    fake_provider.release(groups)
    assert fake_provider.leftovers(SCOPE) == groups


def test_a_destroyed_machine_may_leave_a_disk(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.OrphanDisk())
    fake_provider.destroy(made(fake_provider, 2))
    assert [thing.kind for thing in fake_provider.leftovers(SCOPE)] == ["group", "disk", "disk"]


def test_a_machine_ends_with_its_time_to_live(
    fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    (node,) = fake_provider.create(OFFER, batch(time_to_live=600)).nodes
    fake_clock.sleep(599)
    assert listed(fake_provider) == {node.id}
    fake_clock.sleep(1)
    assert listed(fake_provider) == set()
    assert "time to live" in fake_provider.fate(node).message


def test_boot_may_be_slow(
    fake_cloud: FakeCloud, fake_provider: FakeProvider, fake_clock: ManualClock
) -> None:
    fake_cloud.script(faults.SlowBoot(seconds=100))
    made(fake_provider)
    fake_clock.sleep(99)
    assert states(fake_provider) == [NodeState.PENDING]
    fake_clock.sleep(1)
    assert states(fake_provider) == [NodeState.RUNNING]


def test_a_crash_comes_between_the_effect_and_the_answer(fake_clock: ManualClock) -> None:
    crashed = RuntimeError("killed here")

    def crash() -> None:
        raise crashed

    cloud = FakeCloud(clock=fake_clock, script=[faults.Crash()], crash=crash)
    with pytest.raises(RuntimeError, match="killed here"):
        cloud.create(OFFER, batch(2))
    assert len(cloud.list_machines("here", SCOPE)) == 2


def test_a_crash_before_the_effect_leaves_nothing(fake_clock: ManualClock) -> None:
    def crash() -> None:
        raise RuntimeError("killed here")

    script = [faults.Crash(before=True)]
    cloud = FakeCloud(clock=fake_clock, script=script, crash=crash)
    with pytest.raises(RuntimeError):
        cloud.create(OFFER, batch(2))
    assert cloud.billed() == []


def test_two_like_faults_are_counted_apart(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.Blink(at=1), faults.Blink(at=1))
    made(fake_provider, 3)
    assert [len(listed(fake_provider)) for _ in range(2)] == [1, 3]


def test_every_call_is_on_record_with_its_error(
    fake_cloud: FakeCloud, fake_provider: FakeProvider
) -> None:
    fake_cloud.script(faults.Throttled(call="nodes"))
    made(fake_provider)
    with pytest.raises(ThrottledError):
        listed(fake_provider)
    listed(fake_provider)
    found = [(call.number, call.name, call.error) for call in fake_cloud.calls()]
    assert found == [(1, "create", ""), (2, "nodes", "ThrottledError"), (3, "nodes", "")]
    assert (fake_cloud.count("nodes"), fake_cloud.count()) == (2, 3)
