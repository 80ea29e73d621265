"""Fake providers that each break one promise of creating, destroying, releasing or fate."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice

from msgspec.structs import replace

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    ThrottledError,
)
from spotdeploy.labels import ANY, DEPLOYMENT, scope
from spotdeploy.model import (
    Batch,
    Created,
    Fate,
    FateKind,
    Market,
    Node,
    NodeState,
    Offer,
    Resource,
)
from spotdeploy.testing import FakeProvider
from spotdeploy.testing.fake.machine import Machine
from tests.testing.teeth import caught_by


@caught_by("test_created_nodes_carry_the_labels_of_the_batch")
class AnswersWithoutLabels(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        return replace(created, nodes=tuple(replace(node, labels={}) for node in created.nodes))


@caught_by("test_labels_are_on_the_create_call_itself")
class LabelsInASecondCall(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        super().create(offer, replace(batch, labels={"unlabelled": batch.token}))
        with self.cloud._store.transaction() as state:
            for machine in list(state.machines.values()):
                if machine.token == batch.token:
                    state.change(machine, labels=dict(batch.labels))
                    thing = state.things[machine.group]
                    thing.labels.clear()
                    thing.labels.update(batch.labels)
        return super().create(offer, batch)


@caught_by("test_created_nodes_are_described")
class DescribesTheWrongMarket(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        nodes = tuple(replace(node, market=Market.ON_DEMAND) for node in created.nodes)
        return replace(created, nodes=nodes)


@caught_by("test_create_does_not_wait_for_boot")
class WaitsForBoot(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        self.cloud.clock.sleep(30)
        return created


@caught_by("test_one_call_makes_a_whole_batch")
class MakesOneByOne(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        for _ in created.nodes:
            self.cloud.ping("create", self.location)
        return created


@caught_by(
    "test_the_same_token_creates_nothing_more_and_gives_the_same_nodes",
    "test_the_same_token_works_from_another_process",
    "test_the_same_token_after_a_lost_reply_gives_the_nodes_that_were_made",
    "test_a_token_may_have_64_characters",
)
class IgnoresTheToken(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, token=secrets.token_hex(8)))


class _NamedByUs(FakeProvider):
    """What the provider calls a node is kept with it, and the cloud's own id is told to nobody."""

    def _node(self, machine: Machine) -> Node:
        return replace(super()._node(machine), id=machine.name)

    def _all(self) -> list[Machine]:
        """What the cloud has here, in the order in which it was made."""
        now = self.cloud.clock.now()
        with self.cloud._store.transaction() as state:
            return [m for m in state.machines.values() if m.exists(now)]

    def _made(self, offer: Offer, batch: Batch, names: Sequence[str]) -> Created:
        """Machines of these names, whatever there is."""
        machines, shortfall = self.cloud.create(offer, batch)
        with self.cloud._store.transaction() as state:
            made = [
                state.change(machine, name=name)
                for machine, name in zip(machines, names, strict=False)
            ]
        return Created(tuple(map(self._node, made)), shortfall)

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        """One machine for each name: of several the last."""
        named = {machine.name: machine.id for machine in self._all()}
        ids = [named[node.id] for node in nodes if node.id in named]
        super().end_nodes([replace(nodes[0], id=id_) for id_ in ids])


SAME_TOKEN = (
    "test_the_same_token_creates_nothing_more_and_gives_the_same_nodes",
    "test_the_same_token_works_from_another_process",
    "test_the_same_token_after_a_lost_reply_gives_the_nodes_that_were_made",
)


@caught_by(*SAME_TOKEN, "test_a_token_may_have_64_characters")
class MakesTwins(_NamedByUs):
    """Names follow from the token, and the cloud is asked for machines each time."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        names = [f"{batch.token}-{number}" for number in range(batch.count)]
        return self._made(offer, replace(batch, token=secrets.token_hex(8)), names)


@caught_by(*SAME_TOKEN)
class HidesItsTwins(MakesTwins):
    """And lists one of each name."""

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return list({node.id: node for node in super().find_nodes(labels)}.values())


class _Numbered(_NamedByUs):
    """Ids are numbers, which follow from those that are there."""

    def numbers(self) -> Iterator[int]:
        raise NotImplementedError

    def taken(self) -> set[int]:
        return {int(machine.name) for machine in self._all()}

    def create(self, offer: Offer, batch: Batch) -> Created:
        names = [str(number) for number in islice(self.numbers(), batch.count)]
        return self._made(offer, batch, names)


@caught_by("test_an_id_is_never_given_again")
class GivesTheLowestFreeId(_Numbered):
    def numbers(self) -> Iterator[int]:
        taken = self.taken()
        return (number for number in count(1) if number not in taken)


@caught_by("test_an_id_is_never_given_again")
class CountsItsNodes(_Numbered):
    """As libcloud's dummy driver does: two nodes that live may have one id."""

    def numbers(self) -> Iterator[int]:
        return count(len(self._all()) + 1)


@caught_by("test_an_id_is_never_given_again")
class GivesTheIdAfterTheHighest(_Numbered):
    def numbers(self) -> Iterator[int]:
        return count(max(self.taken(), default=0) + 1)


@caught_by("test_an_id_is_never_given_again")
class BeginsAnewWhenAllAreGone(_Numbered):
    last = 0

    def numbers(self) -> Iterator[int]:
        for number in count(self.last + 1 if self.taken() else 1):
            self.last = number
            yield number


@caught_by("test_the_same_token_works_from_another_process")
class SaltsTheToken(FakeProvider):
    """Idempotent inside one process only."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, token=f"{batch.token}{id(self)}"))


@caught_by("test_another_token_creates_other_nodes", among_others=True)
class CutsTheToken(FakeProvider):
    """Two tokens with one beginning become one."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, token=batch.token[:12]))


@caught_by("test_a_token_may_have_64_characters")
class RefusesLongTokens(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        if len(batch.token) > 48:
            raise ProviderError("the token is too long")
        return super().create(offer, batch)


@caught_by("test_a_partial_fill_is_a_result_and_says_why")
class RaisesOnAPartialFill(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        if created.shortfall:
            raise CapacityError(created.shortfall)
        return created


@caught_by("test_a_partial_fill_is_a_result_and_says_why")
class DoesNotSayWhyFewer(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return Created(super().create(offer, batch).nodes)


@caught_by("test_create_gives_as_many_nodes_as_asked")
class ClaimsAShortfall(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        return replace(created, shortfall=created.shortfall or "who knows")


@caught_by("test_no_capacity_raises_capacity_error_and_creates_nothing")
class TakesNoCapacityForAnEmptyResult(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return super().create(offer, batch)
        except CapacityError as error:
            return Created((), error.message)


@caught_by("test_a_used_up_quota_raises_quota_error_and_creates_nothing")
class TakesQuotaForCapacity(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return super().create(offer, batch)
        except QuotaError as error:
            raise CapacityError(error.message) from error


@caught_by(
    "test_labels_are_on_the_create_call_itself",
    "test_the_same_token_after_a_lost_reply_gives_the_nodes_that_were_made",
)
class TakesALostReplyForARefusal(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        try:
            return super().create(offer, batch)
        except LostReplyError as error:
            raise CapacityError(error.message) from error


@caught_by("test_user_data_arrives_byte_for_byte")
class ReadsUserDataAsText(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        text = batch.user_data.decode(errors="replace")
        return super().create(offer, replace(batch, user_data=text.encode()))


@caught_by("test_user_data_may_be_as_large_as_the_provider_says")
class TakesLessUserDataThanItSays(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        if len(batch.user_data) > 12_000:
            raise ProviderError("user-data is limited to 16384 bytes of base64")
        return super().create(offer, batch)


@caught_by("test_expired_credentials_raise_credentials_error")
class HidesExpiredCredentials(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except CredentialsError as error:
            raise ProviderError(error.message) from error


@caught_by("test_a_cloud_that_asks_to_slow_down_raises_throttled_error")
class HidesThrottling(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except ThrottledError:
            return []


@caught_by("test_destroying_nothing_destroys_nothing", "test_destroying_nothing_calls_nothing")
class DestroysEverythingForNothing(FakeProvider):
    """As an API does that takes an empty filter for no filter."""

    def destroy(self, nodes: Sequence[Node]) -> None:
        if not nodes:
            every = [id_ for id_ in self.cloud.billed() if id_.startswith("m-")]
            self.cloud.destroy(self.location, every)
        super().destroy(nodes)


@caught_by("test_destroying_nothing_calls_nothing")
class CallsForNothing(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        self.cloud.destroy(self.location, [node.id for node in nodes])


@caught_by(
    "test_destroying_some_leaves_the_others",
    "test_gone_nodes_are_not_listed",
    "test_destroying_a_node_that_never_was_is_success",
)
class DestroysTheWholeDeployment(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        ids = {id_ for node in nodes for id_ in self.cloud.billed(scope(_deployment(node)))}
        super().destroy([replace(nodes[0], id=id_) for id_ in ids])


@caught_by(
    "test_destroying_a_missing_node_is_success",
    "test_destroying_a_node_that_never_was_is_success",
    "test_a_missing_node_does_not_keep_the_others",
    "test_a_node_that_never_was_does_not_keep_the_others",
)
class AllOrNothing(FakeProvider):
    """As EC2's TerminateInstances is."""

    def destroy(self, nodes: Sequence[Node]) -> None:
        known = set(self.cloud.billed())
        if any(node.id not in known for node in nodes):
            raise ProviderError("no such machine", code="InvalidInstanceID.NotFound")
        super().destroy(nodes)


@caught_by("test_destroying_a_node_that_never_was_is_success")
class RaisesForANodeThatNeverWas(FakeProvider):
    """After it has ended the others, and only for these."""

    def destroy(self, nodes: Sequence[Node]) -> None:
        super().destroy(nodes)
        if len(nodes) == 1 and nodes[0].id == "m-999999":
            raise ProviderError("no such machine")


@caught_by("test_destroying_twice_in_a_row_is_success")
class RaisesForGoingNodes(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if node.id in self.cloud.billed() and self._is(node, NodeState.GOING):
                raise ProviderError("it is going already")
        super().destroy(nodes)

    def _is(self, node: Node, state: NodeState) -> bool:
        return self.cloud.machine(node.id).state(self.cloud.clock.now()) is state


@caught_by("test_a_node_that_cannot_be_ended_does_not_keep_the_others")
class StopsAtTheFirstRefusal(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        with self.cloud._store.transaction() as state:
            protected = {getattr(fault, "id", None) for fault in state.faults}
        first = [node for node in nodes if node.id in protected]
        super().destroy(first)
        super().destroy([node for node in nodes if node.id not in protected])


@caught_by("test_destroy_does_not_wait_until_they_are_gone")
class WaitsUntilGone(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        super().destroy(nodes)
        self.cloud.clock.sleep(30 if nodes else 0)


@caught_by("test_one_call_ends_many_nodes")
class DestroysOneByOne(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        refused: ProviderError | None = None
        for node in nodes:
            try:
                super().destroy([node])
            except ProviderError as error:
                refused = error
        if refused:
            raise refused


@caught_by("test_stopped_nodes_can_be_destroyed")
class LeavesStoppedNodes(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        super().destroy([node for node in nodes if not self._is_stopped(node)])

    def _is_stopped(self, node: Node) -> bool:
        known = node.id in self.cloud.billed()
        now = self.cloud.clock.now()
        return known and self.cloud.machine(node.id).state(now) is NodeState.STOPPED


@caught_by(
    "test_the_cloud_itself_has_nothing_of_ours_in_the_end", "test_a_claim_is_a_leftover_and_no_node"
)
class ForgetsItsLeftovers(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return []


@caught_by("test_leftovers_are_described_and_are_no_nodes")
class NamesNoKind(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return [replace(thing, kind="") for thing in super().leftovers(labels)]


@caught_by(
    "test_leftovers_may_be_repeated",
    "test_doctor_changes_nothing_and_may_be_repeated",
)
class NamesLeftoversDifferently(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return [replace(thing, detail=secrets.token_hex(4)) for thing in super().leftovers(labels)]


@caught_by("test_leftovers_of_others_are_not_named")
class NamesLeftoversOfOthers(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        others = {key: f"{value}-b" for key, value in labels.items()}
        return [*super().leftovers(labels), *super().leftovers(others)]


@caught_by("test_any_value_of_a_label_finds_the_leftovers_of_every_deployment")
class FindsNoLeftoversOfAnyone(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        return [] if ANY in labels.values() else super().leftovers(labels)


@caught_by("test_leftovers_without_labels_names_nothing")
class NamesEverythingForNoLabels(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        if labels:
            return super().leftovers(labels)
        every = [id_ for id_ in self.cloud.billed() if id_.startswith("group-")]
        return [Resource("group", id_, self.name, self.location) for id_ in every]


@caught_by(
    "test_releasing_a_missing_thing_is_success",
    "test_a_claim_that_was_released_is_free_for_another_run",
    "test_releasing_a_claim_leaves_the_one_that_took_its_place",
)
class RaisesForAMissingThing(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        if any(thing.id not in self.cloud.billed() for thing in resources):
            raise ProviderError("no such group", code="InvalidGroup.NotFound")
        super().release(resources)


@caught_by("test_what_is_still_in_use_is_left_for_the_next_try")
class RaisesForAThingInUse(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        super().release(resources)
        if any(thing.id in self.cloud.billed() for thing in resources):
            raise ProviderError("the group is in use", code="DependencyViolation")


@caught_by("test_what_is_still_in_use_is_left_for_the_next_try")
class ReleasesWithTheNodes(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        groups = {thing.id for thing in resources}
        with self.cloud._store.transaction() as state:
            users = [m.id for m in state.machines.values() if m.group in groups]
        self.cloud.destroy(self.location, users)
        super().release(resources)


@caught_by("test_releasing_nothing_is_success")
class RaisesForReleasingNothing(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        if not resources and self.cloud.billed():
            raise ProviderError("nothing to release")
        super().release(resources)


@caught_by("test_a_living_node_is_alive")
class DoubtsTheLiving(FakeProvider):
    def fate(self, node: Node) -> Fate:
        fate = super().fate(node)
        return Fate(FateKind.VANISHED) if fate.kind is FateKind.ALIVE else fate


@caught_by("test_asking_for_a_fate_changes_nothing_and_may_be_repeated")
class FateEnds(FakeProvider):
    def fate(self, node: Node) -> Fate:
        fate = super().fate(node)
        if fate.kind is FateKind.ALIVE:
            self.cloud.destroy(self.location, [node.id])
        return fate


@caught_by(
    "test_a_destroyed_node_is_not_alive",
    "test_a_node_that_never_was_has_vanished",
    "test_a_node_that_ended_without_a_word_has_vanished",
)
class BelievesInTheGone(FakeProvider):
    def fate(self, node: Node) -> Fate:
        fate = super().fate(node)
        return Fate(FateKind.ALIVE) if fate.kind is FateKind.VANISHED else fate


@caught_by("test_a_node_that_the_cloud_took_back_was_interrupted_in_its_words")
class ForgetsTheCloudsWords(FakeProvider):
    def fate(self, node: Node) -> Fate:
        return replace(super().fate(node), message="")


@caught_by("test_a_node_that_ended_without_a_word_has_vanished")
class TakesVanishedForInterrupted(FakeProvider):
    def fate(self, node: Node) -> Fate:
        fate = super().fate(node)
        unsaid = fate.kind is FateKind.VANISHED and not fate.message
        return Fate(FateKind.INTERRUPTED, "surely") if unsaid else fate


@caught_by("test_a_stopped_node_is_stopped")
class TakesStoppedForInterrupted(FakeProvider):
    def fate(self, node: Node) -> Fate:
        fate = super().fate(node)
        return replace(fate, kind=FateKind.INTERRUPTED) if fate.kind is FateKind.STOPPED else fate


def _deployment(node: Node) -> str:
    return node.labels[DEPLOYMENT]
