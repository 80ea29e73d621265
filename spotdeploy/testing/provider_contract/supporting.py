"""Promises of the optional powers: each is tested where the provider has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace

from spotdeploy.model import Node, NodeState, Pool
from spotdeploy.provider import (
    Provider,
    SupportsAccount,
    SupportsAllLocations,
    SupportsConsole,
    SupportsDial,
    SupportsPlan,
    SupportsPrepare,
)
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures

T = TypeVar("T")


class Supporting(LabFixtures):
    """`SupportsConsole`, `SupportsDial`, `SupportsAccount`, `SupportsAllLocations`,
    `SupportsPlan`, `SupportsPrepare`."""

    def test_the_console_is_text_and_may_be_read_again(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsConsole)
        (node,) = lab.create()
        for _ in range(2):
            assert isinstance(provider.console(node), str)

    def test_reading_the_console_takes_seconds_at_most(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsConsole)
        (node,) = lab.create()
        assert lab.takes(lambda: provider.console(node)) < lab.facts.at_once

    def test_dialling_a_node_that_is_gone_raises_os_error(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsDial)
        (node,) = lab.create()
        lab.provider.destroy([node])
        lab.until_gone([node])
        assert not _answers(provider, node)

    def test_a_running_node_can_be_dialled(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsDial)
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
        provider = _supports(lab, SupportsDial)
        (node,) = lab.create()
        command = provider.proxy_command(node, 22)
        assert command
        assert all(isinstance(word, str) and word for word in command)

    def test_the_account_has_an_id_that_stays(
        self, lab: Lab, make_provider: Callable[[], Provider[Any]]
    ) -> None:
        account = _supports(lab, SupportsAccount).account()
        assert account
        other = make_provider()
        assert isinstance(other, SupportsAccount)
        assert other.account() == account

    def test_all_locations_names_the_location_of_a_node_and_none_twice(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsAllLocations)
        (node,) = lab.create()
        places = list(provider.all_locations())
        assert node.location in places
        assert len(set(places)) == len(places)

    def test_a_request_that_the_cloud_takes_meets_no_objection(self, lab: Lab, pool: Pool) -> None:
        provider = _supports(lab, SupportsPlan)
        draft = replace(lab.batch(), user_data=b"")
        assert [one for one in provider.objections(pool, draft) if one.fatal] == []
        assert lab.request(lab.batch()).nodes

    def test_objections_change_nothing_and_may_be_repeated(self, lab: Lab, pool: Pool) -> None:
        provider = _supports(lab, SupportsPlan)
        lab.create()
        before = lab.listed().keys(), list(lab.provider.leftovers(lab.scope))
        draft = replace(lab.batch(), user_data=b"")
        assert list(provider.objections(pool, draft)) == list(provider.objections(pool, draft))
        assert before == (lab.listed().keys(), list(lab.provider.leftovers(lab.scope)))

    def test_preparing_again_returns_at_once(self, lab: Lab) -> None:
        provider = _supports(lab, SupportsPrepare)
        assert lab.takes(lambda: provider.prepare(lambda _: None)) < lab.facts.at_once


def _supports(lab: Lab, power: Callable[[], T]) -> T:
    """The provider as one that has this power; a type that is abstract is only callable to mypy."""
    kind = cast("type[T]", power)
    if not isinstance(lab.provider, kind):
        pytest.skip(f"this provider has no {kind.__name__}")
    return lab.provider


def _answers(provider: SupportsDial, node: Node) -> bool:
    try:
        provider.dial(node, 22, 2.0).close()
    except OSError:
        return False
    return True
