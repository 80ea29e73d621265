"""Promises of `create` when the cloud says yes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy import labels as label_rules
from spotdeploy.errors import LostReplyError
from spotdeploy.model import Node, NodeState
from spotdeploy.provider import Provider
from spotdeploy.testing.provider_contract.lab import CLOCKS_APART, Lab, LabFixtures, ids, need


class Creating(LabFixtures):
    """`create` makes what was asked, once, labelled from the first moment."""

    def test_create_gives_as_many_nodes_as_asked(self, lab: Lab) -> None:
        before = lab.inventory()
        created = lab.request(lab.batch(3))
        assert len(created.nodes) == 3
        assert created.shortfall is None
        twice = [name for name, count in (lab.inventory() - before).items() if count > 1]
        assert twice == [], "the cloud has two of one name"

    def test_created_nodes_carry_the_labels_of_the_batch(self, lab: Lab) -> None:
        batch = lab.batch(2)
        for node in lab.request(batch).nodes:
            assert dict(batch.labels).items() <= dict(node.labels).items()

    def test_created_nodes_are_described(self, lab: Lab) -> None:
        (node,) = lab.request(lab.batch()).nodes
        assert (node.provider, node.location) == (lab.provider.name, lab.offer.location)
        assert (node.size, node.market) == (lab.offer.size, lab.offer.market)
        assert node.state in (NodeState.PENDING, NodeState.RUNNING)
        assert node.name
        assert node.created_at is None or abs(node.created_at - lab.clock.now()) < CLOCKS_APART

    def test_create_does_not_wait_for_boot(self, lab: Lab) -> None:
        batch = lab.batch()
        assert lab.takes(lambda: lab.request(batch)) < lab.facts.at_once

    def test_one_call_makes_a_whole_batch(self, lab: Lab) -> None:
        if not lab.facts.batch_create:
            pytest.skip("this cloud makes nodes one by one (Facts.batch_create)")
        lab.request(lab.batch())  # a provider may have to look around once
        one, many = lab.batch(), lab.batch(4)
        calls = lab.count_calls(lambda: lab.request(one))
        assert lab.count_calls(lambda: lab.request(many)) == calls

    def test_labels_are_on_the_create_call_itself(self, lab: Lab) -> None:
        made = 2 if lab.facts.batch_create else 1  # the reply that is lost is that of one call
        batch = lab.batch(made)
        need(lab.powers.lose_reply, "Powers.lose_reply")()
        with pytest.raises(LostReplyError):
            lab.request(batch)
        lab.until(lambda: len(lab.listed()) == made, lab.facts.listed_within, "be listed by label")
        assert all(
            dict(batch.labels).items() <= dict(node.labels).items()
            for node in lab.listed().values()
        )

    def test_the_same_token_creates_nothing_more_and_gives_the_same_nodes(self, lab: Lab) -> None:
        before, batch = lab.inventory(), lab.batch(2)
        first = lab.request(batch)
        lab.until_listed(first.nodes)
        made = lab.inventory()
        again = lab.request(batch)
        assert ids(again.nodes) == ids(first.nodes)
        _assert_made_once(lab, first.nodes, before, made)

    def test_the_same_token_works_from_another_process(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        before, batch = lab.inventory(), lab.batch(2)
        first = lab.request(batch)
        lab.until_listed(first.nodes)
        made = lab.inventory()
        again = make_provider().create(lab.offer, batch)
        assert len(again.nodes) == 2
        assert ids(again.nodes) == ids(first.nodes)
        _assert_made_once(lab, first.nodes, before, made)

    def test_the_same_token_after_a_lost_reply_gives_the_nodes_that_were_made(
        self, lab: Lab
    ) -> None:
        before, batch = lab.inventory(), lab.batch(2)
        need(lab.powers.lose_reply, "Powers.lose_reply")()
        with pytest.raises(LostReplyError):
            lab.request(batch)
        created = lab.request(batch)
        assert len(created.nodes) == 2
        _assert_made_once(lab, created.nodes, before)

    def test_another_token_creates_other_nodes(self, lab: Lab) -> None:
        first, second = lab.create(), lab.create()
        assert not ids(first) & ids(second)
        assert lab.listed().keys() == ids(first) | ids(second)

    def test_an_id_is_never_given_again(self, lab: Lab) -> None:
        first, last = lab.create(2)
        given = {first.id, last.id}
        for ended in ([first], [last], []):  # the lowest, the highest, and the last that is there
            nodes = ended or list(lab.listed().values())
            lab.provider.destroy(nodes)
            lab.until_gone(nodes)
            (node,) = lab.create()
            assert node.id not in given, f"{node.id} was another node's"
            given.add(node.id)

    def test_a_token_may_have_64_characters(self, lab: Lab) -> None:
        batch = lab.batch()
        batch = replace(batch, token=f"{batch.token}-".ljust(64, "x"))
        created = lab.request(batch)
        assert ids(lab.request(batch).nodes) == ids(created.nodes)
        lab.until_listed(created.nodes)
        assert lab.listed().keys() == ids(created.nodes)

    def test_user_data_arrives_byte_for_byte(self, lab: Lab) -> None:
        user_data_of = need(lab.powers.user_data_of, "Powers.user_data_of")
        extra = bytes(range(256)) if lab.facts.binary_user_data else "# ü\t$(x)`'\"\\\n".encode()
        data = lab.facts.user_data + extra
        batch = replace(lab.batch(2), user_data=data)
        assert [user_data_of(node) for node in lab.request(batch).nodes] == [data, data]

    def test_user_data_may_be_as_large_as_the_provider_says(self, lab: Lab) -> None:
        room = lab.provider.user_data_limit - len(lab.facts.user_data)
        batch = replace(lab.batch(), user_data=lab.facts.user_data + b"#" * (room - 1) + b"\n")
        (node,) = lab.request(batch).nodes
        if lab.powers.user_data_of:
            assert lab.powers.user_data_of(node) == batch.user_data

    def test_created_nodes_are_where_the_offer_says_and_cost_as_much(self, lab: Lab) -> None:
        (node,) = lab.create()
        for one in (node, lab.listed()[node.id]):
            assert lab.offer.zone in (None, one.zone)
            price = one.usd_per_hour
            assert price is None or price > 0 or (lab.facts.free and price == 0)
            if price and lab.offer.usd_per_hour:
                assert 0.5 <= price / lab.offer.usd_per_hour <= 2, f"{price} USD per hour"

    def test_open_ports_are_open_to_whom_they_should_be_and_to_nobody_else(self, lab: Lab) -> None:
        openings = need(lab.powers.openings, "Powers.openings")
        allowed = ("198.51.100.7/32", "203.0.113.0/24")
        batch = replace(lab.batch(), open_ports=(8080, 9443), allow_from=allowed)
        (node,) = lab.request(batch).nodes
        expected = {(port, cidr) for port in (22, 8080, 9443) for cidr in allowed}
        assert set(openings(node)) == expected
        (closed,) = lab.beside.request(lab.beside.batch()).nodes
        assert {port for port, _ in openings(closed)} == {22}
        assert set(openings(node)) == expected

    def test_batches_of_a_run_may_open_ports_of_their_own(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        openings = need(lab.powers.openings, "Powers.openings")
        (first,) = lab.request(replace(lab.batch(), open_ports=(8080,))).nodes
        (second,) = lab.request(replace(lab.batch(), open_ports=(9443, 22))).nodes
        (third,) = make_provider().create(lab.offer, replace(lab.batch(), open_ports=(81,))).nodes
        lab.made.add(third.id)
        for node, port in ((first, 8080), (second, 9443), (third, 81)):
            assert {open_port for open_port, _ in openings(node)} == {22, port}

    def test_without_allow_from_a_node_is_not_open_to_the_world(self, lab: Lab) -> None:
        openings = need(lab.powers.openings, "Powers.openings")
        (node,) = lab.request(replace(lab.batch(), allow_from=())).nodes
        found = list(openings(node))
        assert {port for port, _ in found} == {22}
        assert all(ip_network(cidr).num_addresses == 1 for _, cidr in found), found

    def test_the_time_to_live_is_that_of_the_batch(self, lab: Lab) -> None:
        expires = need(lab.powers.expires, "Powers.expires")
        for seconds in (1800.0, 86400.0):
            (node,) = lab.request(replace(lab.batch(), time_to_live=seconds)).nodes
            end = expires(node)
            assert end is not None, "the cloud was not told to end it"
            assert abs(end - lab.clock.now() - seconds) < CLOCKS_APART

    def test_two_objects_can_create_at_the_same_time(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        work = [(lab.provider, lab.batch(2)), (make_provider(), lab.batch(2))]
        with ThreadPoolExecutor(len(work)) as threads:
            created = list(threads.map(lambda one: one[0].create(lab.offer, one[1]), work))
        lab.requested_at.append(lab.clock.now())
        for (_, batch), answer in zip(work, created, strict=True):
            lab.made.update(ids(answer.nodes))
            assert {node.labels[label_rules.BATCH] for node in answer.nodes} == {batch.token}
        lab.until_listed([node for answer in created for node in answer.nodes])
        assert len(lab.listed()) == 4


def _assert_made_once(
    lab: Lab,
    nodes: Sequence[Node],
    before: Counter[str],
    made: Counter[str] | None = None,
) -> None:
    """The cloud has these nodes of the deployment and none besides. `before` is what existed before
    the first request, and `made` what did after it, where that is known."""
    lab.until_listed(nodes)
    assert lab.listed().keys() == ids(nodes)
    if made is not None:
        assert lab.inventory() <= made, "the second request has made something more"
    lab.until_ended_in_one_call(nodes, before)
