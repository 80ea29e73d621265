"""Fake providers that each cost money or open a door: what is made and forgotten, listed in part,
given to others, or not as it was asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.errors import CapacityError, ProviderError, ThrottledError
from spotdeploy.model import Batch, Created, Fate, FateKind, Node, NodeState, Offer, Resource
from spotdeploy.provider import SupportsInterruptionNotice
from spotdeploy.testing import FakeProvider
from spotdeploy.testing.fake.machine import Thing
from tests.testing.teeth import caught_by

ANNOUNCED = '{"action": "terminate"}'
"""What the lab's notice command prints."""


@caught_by("test_the_account_has_in_the_end_what_it_had_before")
class ForgetsAVolume(FakeProvider):
    """Made at each create, without a label."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        with self.cloud._store.transaction() as state:
            id_ = state.new_id("volume")
            state.things[id_] = Thing(kind="volume", id=id_, location=self.location, labels={})
        return created


@caught_by("test_a_refused_create_leaves_nothing_behind")
class ForgetsAVolumeOfARefusedCreate(ForgetsAVolume):
    """Made first, and ended with the nodes only."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return FakeProvider.create(self, offer, batch)
        except CapacityError:
            with self.cloud._store.transaction() as state:
                id_ = state.new_id("volume")
                state.things[id_] = Thing(kind="volume", id=id_, location=self.location, labels={})
            raise


@caught_by("test_nodes_shows_a_node_until_it_is_gone")
class HidesGoingNodes(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [one for one in super().nodes(labels) if one.state is not NodeState.GOING]


@caught_by("test_a_destroyed_node_is_not_listed_as_running")
class ListsGoingNodesAsRunning(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [
            replace(one, state=NodeState.RUNNING) if one.state is NodeState.GOING else one
            for one in super().nodes(labels)
        ]


@caught_by("test_nodes_lists_what_was_created")
class ListsNodesTwice(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [*super().nodes(labels), *super().nodes(labels)]


@caught_by("test_nodes_lists_more_than_one_page")
class ListsTheFirstPage(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes(labels)[:10]


@caught_by("test_more_than_one_page_of_nodes_is_destroyed_in_one_go")
class DestroysThreeNodesACall(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        super().destroy(nodes[:3])


@caught_by("test_leftovers_of_many_batches_are_all_named")
class NamesTheFirstPageOfLeftovers(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return super().leftovers(labels)[:10]


@caught_by("test_leftovers_carry_the_labels_that_they_are_found_by")
class NamesLeftoversWithoutLabels(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return [replace(thing, labels={}) for thing in super().leftovers(labels)]


@caught_by("test_leftovers_wants_every_label")
class FindsLeftoversByTheDeploymentAlone(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        asked = {key: value for key, value in labels.items() if key != names.RUN}
        return super().leftovers(asked)


@caught_by("test_asking_for_leftovers_changes_nothing")
class TagsWhatItFinds(FakeProvider):
    """And makes a new thing of it."""

    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        found = super().leftovers(labels)
        with self.cloud._store.transaction() as state:
            for thing in found:
                its = state.things.pop(thing.id)
                id_ = state.new_id(its.kind)
                state.things[id_] = replace(its, id=id_)
                for machine in list(state.machines.values()):
                    if machine.group == thing.id:
                        state.change(machine, group=id_)
        return super().leftovers(labels)


@caught_by("test_leftovers_are_found_and_released_from_another_process")
class ReleasesOnlyItsOwn(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        self.__dict__["has_created"] = True
        return super().create(offer, batch)

    def release(self, resources: Sequence[Resource]) -> None:
        if "has_created" in self.__dict__:
            super().release(resources)


@caught_by("test_destroying_works_from_another_process")
class DestroysOnlyItsOwn(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        self.__dict__.setdefault("own", set()).update(node.id for node in created.nodes)
        return created

    def destroy(self, nodes: Sequence[Node]) -> None:
        own = self.__dict__.get("own", set())
        super().destroy([node for node in nodes if node.id in own])


@caught_by("test_a_node_that_is_named_twice_is_destroyed")
class RefusesANodeNamedTwice(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        if len({node.id for node in nodes}) < len(nodes):
            raise ProviderError("duplicate id", code="InvalidParameterValue")
        super().destroy(nodes)


@caught_by("test_the_label_of_a_batch_finds_its_nodes_alone")
class FindsABatchByTheDeploymentAlone(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes({k: v for k, v in labels.items() if k != names.BATCH})


@caught_by("test_a_label_that_no_node_has_finds_none")
class IgnoresLabelsItDoesNotKnow(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        known = (names.DEPLOYMENT, names.RUN, names.BATCH)
        return super().nodes({k: v for k, v in labels.items() if k in known})


@caught_by("test_labels_may_be_as_long_as_the_core_makes_them")
class CutsLabels(FakeProvider):
    """At 40 characters, in both directions: what is asked for is still found."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, labels=_cut(batch.labels)))

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes(_cut(labels))


@caught_by("test_each_location_lists_its_own_nodes")
class ListsEveryLocation(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        found = list(super().nodes(labels))
        other = "there" if self.location == "here" else "here"
        return [*found, *map(self._node, self.cloud.list_machines(other, labels))]


@caught_by("test_each_location_lists_its_own_nodes")
class CallsEveryLocationByOneName(FakeProvider):
    def _node(self, machine: object) -> Node:
        return replace(super()._node(machine), location="here")  # type: ignore[arg-type]  # a Machine


@caught_by("test_a_node_that_was_taken_back_is_not_listed_as_running")
class ListsWhatWasTakenBack(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        shown = {node.id: node for node in super().nodes(labels)}
        known = self.__dict__.setdefault("known", {})
        known.update(shown)
        ended = [node for id_, node in known.items() if self._was_taken_back(id_)]
        return [*shown.values(), *(node for node in ended if names.matches(node.labels, labels))]

    def _was_taken_back(self, id_: str) -> bool:
        machine = self.cloud.machine(id_)
        return machine.end is not None and machine.end.ending == "interrupted"

    def destroy(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.__dict__.get("known", {}).pop(node.id, None)
        super().destroy(nodes)


@caught_by("test_listed_nodes_are_described_as_they_were_created")
class ListsTimesInMilliseconds(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [
            replace(node, created_at=(node.created_at or 0) * 1000)
            for node in super().nodes(labels)
        ]


@caught_by("test_listed_nodes_are_described_as_they_were_created")
class ListsTimesOfItsOwnZone(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [
            replace(node, created_at=(node.created_at or 0) + 7200)
            for node in super().nodes(labels)
        ]


@caught_by("test_listed_nodes_are_described_as_they_were_created")
class ListsTheTimeOfTheListing(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        now = self.cloud.clock.now()
        return [replace(node, created_at=now) for node in super().nodes(labels)]


@caught_by("test_releasing_some_leaves_the_others")
class ReleasesWhatOthersHave(FakeProvider):
    """Whatever the cloud lets go of, and the nodes' groups with it."""

    def release(self, resources: Sequence[Resource]) -> None:
        super().release(resources)
        if resources:
            with self.cloud._store.transaction() as state:
                state.things.clear()


@caught_by("test_created_nodes_are_where_the_offer_says_and_cost_as_much")
class CreatesInAnotherZone(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(replace(offer, zone="b"), batch)


@caught_by("test_created_nodes_are_where_the_offer_says_and_cost_as_much")
class TellsTheMonthlyPrice(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [
            replace(node, usd_per_hour=(node.usd_per_hour or 0) * 730)
            for node in super().nodes(labels)
        ]


@caught_by("test_created_nodes_are_where_the_offer_says_and_cost_as_much")
class CallsItsNodesFree(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [replace(node, usd_per_hour=0.0) for node in super().nodes(labels)]


@caught_by("test_user_data_may_be_as_large_as_the_provider_says")
class CutsUserData(FakeProvider):
    user_data_limit = 65_536

    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, user_data=batch.user_data[:4096]))


@caught_by("test_user_data_arrives_byte_for_byte")
class GivesUserDataToTheFirst(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        with self.cloud._store.transaction() as state:
            for node in created.nodes[1:]:
                state.change(state.machines[node.id], user_data=b"")
        return created


@caught_by("test_open_ports_are_open_to_whom_they_should_be_and_to_nobody_else")
class IgnoresOpenPorts(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, open_ports=()))


@caught_by("test_open_ports_are_open_to_whom_they_should_be_and_to_nobody_else")
class OpensToTheWorld(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, allow_from=("0.0.0.0/0",)))


@caught_by("test_open_ports_are_open_to_whom_they_should_be_and_to_nobody_else")
class OpensToTheFirstAlone(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, allow_from=batch.allow_from[:1]))


@caught_by("test_open_ports_are_open_to_whom_they_should_be_and_to_nobody_else")
class OpensForAllDeployments(FakeProvider):
    """One group for all, with every port that anybody asked for."""

    ports: ClassVar[set[int]] = set()

    def create(self, offer: Offer, batch: Batch) -> Created:
        self.ports.update(batch.open_ports)
        return super().create(offer, replace(batch, open_ports=tuple(sorted(self.ports))))


@caught_by("test_batches_of_a_run_may_open_ports_of_their_own")
class OpensForARunWhatItsFirstBatchAsked(FakeProvider):
    """One group for each run, made for the first batch."""

    made: ClassVar[dict[str, tuple[int, ...]]] = {}

    def create(self, offer: Offer, batch: Batch) -> Created:
        run = batch.labels[names.DEPLOYMENT]
        ports = self.made.setdefault(run, batch.open_ports)
        return super().create(offer, replace(batch, open_ports=ports))


@caught_by("test_without_allow_from_a_node_is_not_open_to_the_world")
class OpensToTheWorldUnlessTold(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, allow_from=batch.allow_from or ("::/0",)))


@caught_by("test_the_time_to_live_is_that_of_the_batch")
class IgnoresTheTimeToLive(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, time_to_live=7200.0))


@caught_by("test_the_time_to_live_is_that_of_the_batch")
class TakesSecondsForMinutes(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, time_to_live=batch.time_to_live * 60))


@caught_by("test_two_objects_can_create_at_the_same_time")
class SharesItsRequest(FakeProvider):
    """Objects write over each other's request, as with state of the class."""

    request: ClassVar[list[Batch]] = []

    def create(self, offer: Offer, batch: Batch) -> Created:
        self.request.append(batch)
        time.sleep(0.1)
        return super().create(offer, self.request[-1])


@caught_by("test_a_cloud_that_asks_to_slow_down_raises_throttled_error")
class TakesThrottlingForNoCapacity(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return super().create(offer, batch)
        except ThrottledError as error:
            raise CapacityError(error.message) from error


class Noticed(FakeProvider, SupportsInterruptionNotice):
    """Keeps the promises of notices."""

    def notice_command(self) -> Sequence[str]:
        return ("curl", "-sf", "http://169.254.169.254/notice")

    def notice(self, output: str) -> Fate | None:
        is_one = output == ANNOUNCED
        return Fate(FateKind.INTERRUPTED, "the cloud will end it") if is_one else None


@caught_by("test_output_that_announces_nothing_is_no_notice")
class AlwaysSeesANotice(Noticed):
    def notice(self, output: str) -> Fate | None:
        return Fate(FateKind.INTERRUPTED, "surely")


@caught_by("test_output_that_announces_nothing_is_no_notice")
class SeesANoticeInAnyOutput(Noticed):
    def notice(self, output: str) -> Fate | None:
        return Fate(FateKind.INTERRUPTED, output) if output.strip() else None


@caught_by("test_output_that_announces_nothing_is_no_notice")
class CannotReadNonsense(Noticed):
    def notice(self, output: str) -> Fate | None:
        found = json.loads(output)
        return Fate(FateKind.INTERRUPTED, found["action"])


@caught_by("test_a_notice_is_an_interruption_in_the_clouds_words")
class SeesNoNotice(Noticed):
    def notice(self, output: str) -> Fate | None:
        return None


@caught_by("test_the_notice_command_is_a_list_of_words_and_calls_nothing")
class AsksTheCloudForNotices(Noticed):
    def notice_command(self) -> Sequence[str]:
        self.cloud.ping("account", self.location)
        return super().notice_command()


def _cut(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:40] for key, value in labels.items()}
