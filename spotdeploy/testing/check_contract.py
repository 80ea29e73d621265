"""Every promise of `spotdeploy.check` as a test, for the authors of checks.

from spotdeploy.testing import CheckContract, ScriptedConnection

class TestDiskCheck(CheckContract):
    @pytest.fixture
    def check_class(self):
        return DiskCheck

    @pytest.fixture
    def table(self):
        return {"type": "disk", "at_least": "1GB"}

    @pytest.fixture
    def healthy(self):
        return ScriptedConnection({"df": CommandResult(0, "2000000000", "")})

    @pytest.fixture
    def unhealthy(self):
        return ScriptedConnection({"df": CommandResult(0, "5", "")})
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, ClassVar

import pytest

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError, UnreachableError
from spotdeploy.model import Node, NodeState
from spotdeploy.testing.connection import ScriptedConnection, Server

LARGE = 1 << 20
FOREVER = 60.0
HOSTILE = (
    b"",
    b"\x00\xff\xfe\x80" * 64,
    b"\x1b]0;owned\x07\x1b[2J\x1b[31m",
    b"<script>alert(1)</script>\r\n" * 8,
    b"-1\n",
    b"99999999999999999999999999999999",
    b"NaN",
    b"{[}\n",
    b"[[[[[[" * 2000,
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/9.9 banana\r\n\r\n",
    b"x" * LARGE,
)
EXIT_CODES = (0, 1, 124, 127, 255, -9)


class CheckContract:
    """The author supplies the first four fixtures."""

    at_once: ClassVar[float] = 3.0
    """Seconds within which one evaluation must end; more for a check that starts programs
    on this computer."""

    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        """The class under test."""
        pytest.fail("supply a `check_class` fixture: the check's class")

    @pytest.fixture
    def table(self) -> dict[str, object]:
        """A `[[checks]]` table for it, as a user writes it."""
        pytest.fail("supply a `table` fixture: a [[checks]] table")

    @pytest.fixture
    def healthy(self) -> Connection:
        """A connection to a node on which the check passes."""
        pytest.fail("supply a `healthy` fixture: a connection on which the check passes")

    @pytest.fixture
    def unhealthy(self) -> Connection:
        """A connection to a node on which the check fails, and stays failed."""
        pytest.fail("supply an `unhealthy` fixture: a connection on which the check fails")

    @pytest.fixture
    def node(self) -> Node:
        """The node that is asked."""
        return Node("n-1", "node-1", "fake", "here", NodeState.RUNNING, address="192.0.2.1")

    @pytest.fixture
    def check(self, check_class: type[Check[Any]], table: dict[str, object]) -> Check[Any]:
        """The configured check."""
        return _configured(check_class, table)

    def test_the_kind_is_the_type_of_its_table(
        self, check_class: type[Check[Any]], table: dict[str, object]
    ) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", check_class.kind)
        assert table["type"] == check_class.kind

    def test_settings_hold_what_the_table_says(
        self, check: Check[Any], check_class: type[Check[Any]], table: dict[str, object]
    ) -> None:
        assert isinstance(check.settings, check_class.Settings)
        assert check.settings.type == table["type"]
        assert set(table) <= set(check_class.Settings.__struct_encode_fields__)

    def test_settings_take_the_keys_that_every_check_has(
        self, check_class: type[Check[Any]], table: dict[str, object]
    ) -> None:
        common = {"name": "mine", "within": "7s", "stable_for": "3s", "every": "500ms"}
        settings = _configured(check_class, {**table, **common}).settings
        assert (settings.within, settings.stable_for, settings.every) == (7.0, 3.0, 0.5)

    def test_settings_are_frozen(self, check: Check[Any]) -> None:
        with pytest.raises(AttributeError):
            check.settings.within = 1.0

    def test_settings_refuse_unknown_keys(
        self, check_class: type[Check[Any]], table: dict[str, object]
    ) -> None:
        with pytest.raises(ConfigError, match="surely_no_such_key"):
            _configured(check_class, {**table, "surely_no_such_key": 1})

    def test_the_title_is_one_line_that_says_something(self, check: Check[Any]) -> None:
        assert check.title().strip()
        assert check.title().isprintable()
        assert check.title() == check.title()

    def test_a_name_in_the_table_replaces_the_title(
        self, check: Check[Any], check_class: type[Check[Any]], table: dict[str, object]
    ) -> None:
        unnamed = {key: value for key, value in table.items() if key != "name"}
        assert _configured(check_class, unnamed).name == check.title()
        assert _configured(check_class, {**table, "name": "mine"}).name == "mine"

    def test_it_passes_on_a_healthy_node(
        self, check: Check[Any], node: Node, healthy: Connection
    ) -> None:
        (result,) = _ask(check, node, healthy)
        assert result.ok, result.detail
        assert result.name == check.name

    def test_it_fails_on_an_unhealthy_node_and_says_what_it_saw(
        self, check: Check[Any], node: Node, unhealthy: Connection
    ) -> None:
        (result,) = _ask(check, node, unhealthy)
        assert not result.ok
        assert result.name == check.name
        assert result.detail.strip()

    def test_it_asks_once_and_does_not_wait_for_a_better_answer(
        self, check: Check[Any], node: Node, unhealthy: Connection
    ) -> None:
        started = time.monotonic()
        _ask(check, node, unhealthy)
        assert time.monotonic() - started < self.at_once

    def test_it_can_be_asked_again(
        self, check: Check[Any], node: Node, unhealthy: Connection, healthy: Connection
    ) -> None:
        results = _ask(check, node, unhealthy, healthy, unhealthy)
        assert [result.ok for result in results] == [False, True, False]

    def test_an_unreachable_node_is_no_pass_and_no_crash(
        self, check: Check[Any], node: Node
    ) -> None:
        try:
            (result,) = _ask(check, node, ScriptedConnection(reachable=False))
        except UnreachableError:
            return
        assert not result.ok

    def test_a_node_that_refuses_everything_is_a_failure(
        self, check: Check[Any], node: Node
    ) -> None:
        (result,) = _ask(check, node, ScriptedConnection())
        assert not result.ok

    @pytest.mark.parametrize("exit_code", EXIT_CODES)
    def test_hostile_output_is_no_crash(
        self, check: Check[Any], node: Node, exit_code: int
    ) -> None:
        for output in HOSTILE:
            text = output.decode(errors="replace")
            answer = CommandResult(exit_code, text, text, truncated=len(text) >= LARGE)
            everything = ScriptedConnection(otherwise=answer, ports=_EveryPort(output))
            _ask(check, node, everything)


class _EveryPort(dict[int, Server | bytes]):
    """Every port is open and sends the same."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int)

    def __missing__(self, port: int) -> bytes:
        return self._data


def _configured(cls: type[Check[Any]], table: dict[str, object]) -> Check[Any]:
    return cls(decode(table, cls.Settings, "the contract"))


def _ask(check: Check[Any], node: Node, *connections: Connection) -> list[CheckResult]:
    async def ask() -> list[CheckResult]:
        async with asyncio.timeout(FOREVER):
            return [await check.run(node, connection) for connection in connections]

    results = asyncio.run(ask())
    for result in results:
        assert isinstance(result, CheckResult)
        assert isinstance(result.ok, bool)
        assert isinstance(result.detail, str)
    return results
