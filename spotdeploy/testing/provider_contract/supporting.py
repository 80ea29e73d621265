"""Promises of the optional powers: each is tested where the provider has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.errors import ThrottledError
from spotdeploy.model import FateKind, Node, NodeState, Pool, Resource
from spotdeploy.provider import (
    Provider,
    SupportsAccount,
    SupportsAllLocations,
    SupportsClaims,
    SupportsConsole,
    SupportsDial,
    SupportsInterruptionNotice,
    SupportsPlan,
    SupportsPrepare,
)
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, need

T = TypeVar("T")

NO_NOTICE = (
    "",
    "\n",
    "null",
    "{}",
    "[]",
    "404 Not Found",
    "<html><body><h1>404 - Not Found</h1></body></html>",
    "curl: (28) Connection timed out after 2001 milliseconds",
    "\ufffd\x00 no text",
)
"""What a metadata service, or curl, prints where nothing was announced, and what makes no sense."""


class Supporting(LabFixtures):
    """`SupportsConsole`, `SupportsDial`, `SupportsAccount`, `SupportsAllLocations`,
    `SupportsClaims`, `SupportsInterruptionNotice`, `SupportsPlan`, `SupportsPrepare`."""

    def test_the_console_is_text_and_may_be_read_again(self, lab: Lab) -> None:
        provider = supports(lab, SupportsConsole)
        (node,) = lab.create()
        for _ in range(2):
            assert isinstance(provider.console(node), str)

    def test_reading_the_console_takes_seconds_at_most(self, lab: Lab) -> None:
        provider = supports(lab, SupportsConsole)
        (node,) = lab.create()
        assert lab.takes(lambda: provider.console(node)) < lab.facts.at_once

    def test_dialling_a_node_that_is_gone_raises_os_error(self, lab: Lab) -> None:
        provider = supports(lab, SupportsDial)
        (node,) = lab.create()
        lab.provider.destroy([node])
        lab.until_gone([node])
        assert not _answers(provider, node)

    def test_a_running_node_can_be_dialled(self, lab: Lab) -> None:
        provider = supports(lab, SupportsDial)
        (node,) = lab.create()
        lab.until(
            lambda: lab.listed()[node.id].state is NodeState.RUNNING,
            lab.facts.listed_within,
            "run",
        )
        lab.until(
            lambda: _answers(provider, lab.listed()[node.id]),
            lab.facts.listed_within,
            "answer on port 22",
        )

    def test_the_proxy_command_is_a_list_of_words(self, lab: Lab) -> None:
        provider = supports(lab, SupportsDial)
        (node,) = lab.create()
        command = provider.proxy_command(node, 22)
        assert command
        assert all(isinstance(word, str) and word for word in command)

    def test_the_account_has_an_id_that_stays(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        account = supports(lab, SupportsAccount).account()
        assert account
        other = make_provider()
        assert isinstance(other, SupportsAccount)
        assert other.account() == account

    def test_the_account_is_the_one_of_the_credentials(self, lab: Lab) -> None:
        account = supports(lab, SupportsAccount).account()
        assert account == need(lab.facts.account, "Facts.account")

    def test_output_that_announces_nothing_is_no_notice(self, lab: Lab) -> None:
        provider = supports(lab, SupportsInterruptionNotice)
        for output in NO_NOTICE:
            assert provider.notice(output) is None, output

    def test_a_notice_is_an_interruption_in_the_clouds_words(self, lab: Lab) -> None:
        provider = supports(lab, SupportsInterruptionNotice)
        fate = provider.notice(need(lab.facts.notice, "Facts.notice"))
        assert fate
        assert fate.kind is FateKind.INTERRUPTED
        assert fate.message

    def test_the_notice_command_is_a_list_of_words_and_calls_nothing(self, lab: Lab) -> None:
        provider = supports(lab, SupportsInterruptionNotice)
        command = provider.notice_command()
        assert command
        assert all(isinstance(word, str) and word for word in command)
        if lab.calls:
            assert lab.count_calls(provider.notice_command) == 0

    def test_all_locations_names_the_location_of_a_node_and_none_twice(self, lab: Lab) -> None:
        provider = supports(lab, SupportsAllLocations)
        (node,) = lab.create()
        places = list(provider.all_locations())
        assert node.location in places
        assert len(set(places)) == len(places)

    def test_a_claim_has_its_labels_and_is_made_once(self, lab: Lab) -> None:
        provider = supports(lab, SupportsClaims)
        labels = claim_labels(lab, "run-1")
        first, again = _claimed(lab, provider, labels), _claimed(lab, provider, labels)
        assert (first.kind, first.id, first.labels) == (again.kind, again.id, again.labels)
        assert labels.items() <= first.labels.items()

    def test_a_claim_that_is_held_is_given_to_whoever_asks(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        mine = _claimed(lab, supports(lab, SupportsClaims), claim_labels(lab, "run-1"))
        given = _claimed(lab, make_provider(), claim_labels(lab, "run-2"))
        assert (given.id, given.labels[names.RUN]) == (mine.id, "run-1")

    def test_a_claim_is_one_deployments(self, lab: Lab) -> None:
        _claimed(lab, supports(lab, SupportsClaims), claim_labels(lab, "run-1"))
        labels = claim_labels(lab.beside, "run-2")
        assert labels.items() <= _claimed(lab, lab.beside.provider, labels).labels.items()

    def test_of_many_who_claim_at_once_one_is_given_its_own(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        supports(lab, SupportsClaims)
        claims = {f"run-{number}": make_provider() for number in range(4)}
        with ThreadPoolExecutor(len(claims)) as threads:
            given = list(
                threads.map(
                    lambda run: _claimed(lab, claims[run], claim_labels(lab, run)).labels[
                        names.RUN
                    ],
                    claims,
                )
            )
        assert len(set(given)) == 1

    def test_a_claim_is_a_leftover_and_no_node(self, lab: Lab) -> None:
        claim = _claimed(lab, supports(lab, SupportsClaims), claim_labels(lab, "run-1"))
        lab.until(
            lambda: claim.id in {thing.id for thing in lab.provider.leftovers(lab.scope)},
            lab.facts.listed_within,
            "be listed",
        )
        assert not lab.listed()

    def test_a_claim_that_was_released_is_free_for_another_run(self, lab: Lab) -> None:
        provider = supports(lab, SupportsClaims)
        _handed_over(lab, provider)

    def test_releasing_a_claim_leaves_the_one_that_took_its_place(self, lab: Lab) -> None:
        provider = supports(lab, SupportsClaims)
        mine = _handed_over(lab, provider)
        lab.provider.release([mine])
        assert _claimed(lab, provider, claim_labels(lab, "run-3")).labels[names.RUN] == "run-2"

    def test_a_request_that_the_cloud_takes_meets_no_objection(self, lab: Lab, pool: Pool) -> None:
        provider = supports(lab, SupportsPlan)
        draft = replace(lab.batch(), user_data=b"")
        assert [one for one in provider.objections(pool, draft) if one.fatal] == []
        assert lab.request(lab.batch()).nodes

    def test_objections_change_nothing_and_may_be_repeated(self, lab: Lab, pool: Pool) -> None:
        provider = supports(lab, SupportsPlan)
        lab.create()
        before = lab.listed().keys(), list(lab.provider.leftovers(lab.scope))
        draft = replace(lab.batch(), user_data=b"")
        assert list(provider.objections(pool, draft)) == list(provider.objections(pool, draft))
        assert before == (lab.listed().keys(), list(lab.provider.leftovers(lab.scope)))

    def test_preparing_again_returns_at_once(self, lab: Lab) -> None:
        provider = supports(lab, SupportsPrepare)
        assert lab.takes(lambda: provider.prepare(lambda _: None)) < lab.facts.at_once


def supports(lab: Lab, power: Callable[[], T]) -> T:
    """The provider as one that has this power; a type that is abstract is only callable to mypy."""
    kind = cast("type[T]", power)
    if not isinstance(lab.provider, kind):
        pytest.skip(f"this provider has no {kind.__name__}")
    return lab.provider


def claim_labels(lab: Lab, run: str) -> Mapping[str, str]:
    expires_at = lab.clock.now() + 3600
    return names.for_claim(lab.deployment, run, "5e1f", "cycle", "Build.Host", expires_at)


def _claimed(lab: Lab, provider: object, labels: Mapping[str, str]) -> Resource:
    """Ask as the core does: again while the cloud wants time."""
    assert isinstance(provider, SupportsClaims)
    found: list[Resource] = []

    def is_answered() -> bool:
        try:
            found.append(provider.claim(labels))
            lab.requested_at.append(lab.clock.now())  # it may be listed late, as nodes are
        except ThrottledError:
            return False
        return True

    lab.until(is_answered, lab.facts.listed_within, "answer a claim")
    return found[0]


def _handed_over(lab: Lab, provider: SupportsClaims) -> Resource:
    """The claim that a first run had and gave back, once a second run has its own."""
    first = _claimed(lab, provider, claim_labels(lab, "run-1"))
    lab.provider.release([first])
    second = claim_labels(lab, "run-2")
    lab.until(
        lambda: _claimed(lab, provider, second).labels[names.RUN] == "run-2",
        lab.facts.gone_within,
        "be free",
    )
    return first


def _answers(provider: SupportsDial, node: Node) -> bool:
    try:
        provider.dial(node, 22, 2.0).close()
    except OSError:
        return False
    return True
