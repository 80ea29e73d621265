"""Providers whose nodes reach more of one another than was asked for, or less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.model import Batch, Created, Offer, Resource
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy.testing import FakeProvider
from spotdeploy.testing.fake.machine import Thing
from tests.testing.teeth import caught_by

ALONE = "test_nodes_reach_one_another_on_no_port_unless_it_is_asked_for"
APART = "test_ports_between_nodes_are_open_to_no_other_deployment"
SILENT = "test_nodes_that_open_nothing_reach_those_that_do"
ASKED = "test_nodes_reach_one_another_on_the_ports_that_are_open_between_them"
EVERY = "test_every_port_can_be_open_between_nodes"
ADMITTED = "test_those_who_are_admitted_reach_the_open_ports_and_nobody_else_does"
NO_MORE = "test_those_who_are_admitted_no_more_are_let_in_no_more"
GOES = "test_what_admits_others_goes_with_the_nodes"
RULE = "rule"
LATER = "test_nodes_of_a_later_batch_and_of_the_first_reach_one_another"


class _Grouped(FakeProvider):
    """Says itself whose nodes reach a new one on the ports between nodes."""

    def peers(self, batch: Batch) -> str:
        return batch.labels[names.DEPLOYMENT]

    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        with self.cloud._store.transaction() as state:
            for node in created.nodes:
                state.change(state.machines[node.id], peers=self.peers(batch))
        return created


@caught_by(ASKED, LATER, EVERY, SILENT)
class IgnoresOpenBetween(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, open_between=()))


@caught_by(ASKED, ALONE, SILENT)
class LetsNodesReachOneAnother(FakeProvider):
    """As in a network whose members trust one another."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        return super().create(offer, replace(batch, open_between=ALL_PORTS))


@caught_by(ALONE)
class OpensItsPortsToNodesToo(FakeProvider):
    """Those that are open to somebody are open to every node."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        ports = tuple(map(PortRange, batch.open_ports))
        return super().create(
            offer, replace(batch, open_between=(*(batch.open_between or ()), *ports))
        )


@caught_by(ASKED, LATER, EVERY, SILENT)
class KnowsTcpAlone(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        tcp = tuple(one for one in batch.open_between or () if one.protocol == "tcp")
        return super().create(offer, replace(batch, open_between=tcp))


@caught_by(ASKED, SILENT)
class OpensBothProtocols(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        both = [
            PortRange.of(one.first, one.last, protocol)
            for one in batch.open_between or ()
            for protocol in ("tcp", "udp")
        ]
        return super().create(offer, replace(batch, open_between=tuple(both)))


@caught_by(ASKED, LATER, EVERY, SILENT)
class TakesTheFirstOfARange(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        first = [
            PortRange.of(one.first, one.first, one.protocol) for one in batch.open_between or ()
        ]
        return super().create(offer, replace(batch, open_between=tuple(first)))


@caught_by(ASKED, SILENT)
class OpensWhatLiesBetweenTheRanges(FakeProvider):
    """One range for each protocol, as where a rule takes no list."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        whole = []
        for protocol in ("tcp", "udp"):
            of_it = [one for one in batch.open_between or () if one.protocol == protocol]
            if of_it:
                ends = min(one.first for one in of_it), max(one.last for one in of_it)
                whole.append(PortRange.of(*ends, protocol))
        return super().create(offer, replace(batch, open_between=tuple(whole)))


@caught_by(LATER, SILENT)
class OpensWithinABatchAlone(_Grouped):
    def peers(self, batch: Batch) -> str:
        return batch.token


@caught_by(SILENT)
class OpensToThoseWhoOpenTheSame(_Grouped):
    def peers(self, batch: Batch) -> str:
        return f"{batch.labels[names.DEPLOYMENT]} {batch.open_between}"


@caught_by(APART)
class OpensToTheWholeNetwork(_Grouped):
    """Every node of the network reaches the open ports, whosever it is."""

    def peers(self, batch: Batch) -> str:
        return "the network"


@caught_by(ALONE, SILENT)
class OpensForEveryDeploymentOnceAsked(FakeProvider):
    """One set of rules for all, with whatever anybody asked for."""

    asked: ClassVar[set[PortRange]] = set()

    def create(self, offer: Offer, batch: Batch) -> Created:
        self.asked.update(batch.open_between or ())
        return super().create(offer, replace(batch, open_between=tuple(sorted(self.asked))))


@caught_by(ADMITTED, NO_MORE)
class AdmitsNobody(FakeProvider):
    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """Says that it did."""


@caught_by(NO_MORE)
class AdmitsFormerOnesToo(FakeProvider):
    """Adds rules, and takes none away: an address that was given back is somebody else's."""

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        alike = self.nodes({names.RUN: batch.labels[names.RUN]})
        former = [address for node in alike for address in self.cloud.admitted(node.id)]
        super().admit(batch, tuple(dict.fromkeys([*former, *addresses])))


@caught_by(ADMITTED, NO_MORE)
class AdmitsTheWorld(FakeProvider):
    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        super().admit(batch, ("0.0.0.0",))  # that is its fault


@caught_by(ADMITTED)
class AdmitsToEveryDeployment(FakeProvider):
    """One rule for all that open ports between nodes."""

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        with self.cloud._store.transaction() as state:
            for machine in state.machines.values():
                state.admitted[machine.door] = tuple(addresses)


@caught_by(ADMITTED)
class AdmitsToThoseThatAreThere(FakeProvider):
    """A node that is made later lets nobody in."""

    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        with self.cloud._store.transaction() as state:
            for node in created.nodes:
                state.admitted.pop(state.machines[node.id].door, None)
        return created


@caught_by(GOES)
class LeavesWhatAdmits(FakeProvider):
    """Makes a rule that nothing deletes."""

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        super().admit(batch, addresses)
        with self.cloud._store.transaction() as state:
            rule = Thing(
                kind=RULE,
                id=f"{RULE}-{batch.labels[names.DEPLOYMENT]}",
                location=self.location,
                labels=dict(batch.labels),
            )
            state.things[rule.id] = rule

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        super().delete_leftovers([one for one in resources if one.kind != RULE])
