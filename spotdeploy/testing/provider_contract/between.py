"""Promises about what nodes reach of one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from msgspec.structs import replace

from spotdeploy.model import Batch, Node
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy.provider import Provider, SupportsPeers
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, need
from spotdeploy.testing.provider_contract.supporting import supports

ASKED: Final = tuple(map(PortRange, (7946, "8000-8100", "53/udp", "4222-4223/udp")))
OPEN: Final = (7946, 8000, 8050, 8100, "53/udp", "4222/udp", "4223/udp")
"""Ports of `ASKED`, and both ends of each range."""
SHUT: Final = (1, 22, 53, 4222, 7945, 7947, 7999, 8101, 65535, "4221/udp", "4224/udp", "7946/udp")
"""The ports beside them, the same ones of the other protocol, and those at the ends."""
ANY: Final = (1, 22, 7946, 65535, "1/udp", "53/udp", "65535/udp")

ELSEWHERE: Final = ("192.0.2.17", "203.0.113.9")
"""Addresses that are nobody's: https://www.rfc-editor.org/rfc/rfc5737"""


class Between(LabFixtures):
    """Nodes of a deployment reach one another where that was asked for, and nowhere else."""

    def test_nodes_reach_one_another_on_the_ports_that_are_open_between_them(
        self, lab: Lab
    ) -> None:
        one, other = lab.request(_talking(lab, 2)).nodes
        assert _reached(lab, one, other, OPEN + SHUT) == _named(OPEN)
        assert _reached(lab, other, one, OPEN + SHUT) == _named(OPEN)

    def test_nodes_of_a_later_batch_and_of_the_first_reach_one_another(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        need(lab.powers.reaches, "Powers.reaches")
        (first,) = lab.request(_talking(lab)).nodes
        other = replace(_talking(lab), open_ports=(9443,))
        (later,) = make_provider().create(lab.offer, other).nodes
        lab.made.add(later.id)
        assert _reached(lab, first, later, OPEN) == _named(OPEN)
        assert _reached(lab, later, first, OPEN) == _named(OPEN)

    def test_nodes_that_open_nothing_reach_those_that_do(self, lab: Lab) -> None:
        (server,) = lab.request(_talking(lab)).nodes
        (client,) = lab.request(replace(lab.batch(), open_between=())).nodes
        (other,) = lab.request(replace(lab.batch(), open_between=(PortRange(22),))).nodes
        assert _reached(lab, client, server, OPEN + SHUT) == _named(OPEN)
        assert _reached(lab, other, server, OPEN) == _named(OPEN)
        assert _reached(lab, server, client, ANY) == set()
        assert _reached(lab, server, other, ANY) == _named((22,))

    def test_every_port_can_be_open_between_nodes(self, lab: Lab) -> None:
        one, other = lab.request(replace(lab.batch(2), open_between=ALL_PORTS)).nodes
        assert _reached(lab, one, other, ANY) == _named(ANY)

    def test_nodes_reach_one_another_on_no_port_unless_it_is_asked_for(self, lab: Lab) -> None:
        need(lab.powers.reaches, "Powers.reaches")
        lab.beside.request(_talking(lab.beside))
        one, other = lab.request(replace(lab.batch(2), open_ports=(7946,))).nodes
        assert _reached(lab, one, other, ANY) == set()

    def test_ports_between_nodes_are_open_to_no_other_deployment(self, lab: Lab) -> None:
        (ours,) = lab.request(_talking(lab)).nodes
        (theirs,) = lab.beside.request(_talking(lab.beside)).nodes
        assert _reached(lab, theirs, ours, OPEN) == set()
        assert _reached(lab, ours, theirs, OPEN) == set()

    def test_those_who_are_admitted_reach_the_open_ports_and_nobody_else_does(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        provider = supports(lab, SupportsPeers)
        openings = need(lab.powers.openings, "Powers.openings")
        batch = _talking(lab)
        (first,) = lab.request(batch).nodes
        (shut,) = lab.request(replace(lab.batch(), open_between=())).nodes
        (theirs,) = lab.beside.request(_talking(lab.beside)).nodes
        before = [set(openings(node)) for node in (first, shut, theirs)]
        for _ in range(2):
            provider.admit(batch, ELSEWHERE)
            assert set(openings(first)) == before[0] | _let_in(ELSEWHERE)
        assert [set(openings(node)) for node in (shut, theirs)] == before[1:]
        (later,) = make_provider().create(lab.offer, _talking(lab)).nodes
        lab.made.add(later.id)
        assert set(openings(later)) == set(openings(first)) == before[0] | _let_in(ELSEWHERE)

    def test_those_who_are_admitted_no_more_are_let_in_no_more(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        supports(lab, SupportsPeers)
        openings = need(lab.powers.openings, "Powers.openings")
        batch = _talking(lab)
        (node,) = lab.request(batch).nodes
        before = set(openings(node))
        for addresses in (ELSEWHERE, ELSEWHERE[1:], ("192.0.2.200",), ()):
            cast("SupportsPeers", make_provider()).admit(batch, addresses)
            assert set(openings(node)) == before | _let_in(addresses)

    def test_what_admits_others_goes_with_the_nodes(self, lab: Lab) -> None:
        provider = supports(lab, SupportsPeers)
        batch = _talking(lab)
        (node,) = lab.request(batch).nodes
        provider.admit(batch, ELSEWHERE)
        lab.until_listed([node])
        lab.provider.destroy([node])
        lab.until_gone([node])
        lab.clean()
        assert list(lab.provider.leftovers(lab.scope)) == []


def _let_in(addresses: Sequence[str]) -> set[tuple[int, str]]:
    ports = [one for one in ASKED if one.protocol == "tcp"]
    numbers = [number for one in ports for number in range(one.first, one.last + 1)]
    return {(number, f"{address}/32") for number in numbers for address in addresses}


def _talking(lab: Lab, count: int = 1) -> Batch:
    return replace(lab.batch(count), open_between=ASKED)


def _reached(lab: Lab, source: Node, target: Node, ports: tuple[object, ...]) -> set[PortRange]:
    reaches = need(lab.powers.reaches, "Powers.reaches")
    return {port for port in map(PortRange, ports) if reaches(source, target, port)}


def _named(ports: tuple[object, ...]) -> set[PortRange]:
    return set(map(PortRange, ports))
