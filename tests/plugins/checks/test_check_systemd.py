"""The check `systemd`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.systemd import SystemdCheck, last_lines, parse, question, restarts
from tests.plugins.checks.here import ask, configured, refusal

UNITS = ["app.service", "db.service"]


def block(unit: str, **facts: object) -> str:
    """What systemctl tells of a unit, healthy but for `facts`."""
    usual: dict[str, object] = {
        "Result": "success",
        "NRestarts": 0,
        "ExecMainCode": 0,
        "ExecMainStatus": 0,
        "Id": unit,
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
    }
    return "".join(f"{key}={value}\n" for key, value in {**usual, **facts}.items())


def node(*blocks: str, output: str = "", files: str = "", error: str = "") -> ScriptedConnection:
    """A node whose systemd tells this."""
    return ScriptedConnection(
        {
            "systemctl show": CommandResult(1 if error else 0, "\n".join(blocks), error),
            "systemctl list-unit-files": CommandResult(0, files, ""),
            "journalctl": CommandResult(0, output, ""),
        }
    )


async def diagnostic(
    connection: Connection, units: Sequence[str] = ("app.service",), **keys: object
) -> CheckResult:
    return await ask(SystemdCheck, connection, units=list(units), **keys)


class TestSystemdContract(CheckContract):
    @pytest.fixture
    def check_class(self) -> type[Check[Any]]:
        return SystemdCheck

    @pytest.fixture
    def table(self) -> dict[str, object]:
        return {"type": "systemd", "units": UNITS}

    @pytest.fixture
    def healthy(self) -> Connection:
        return node(*map(block, UNITS))

    @pytest.fixture
    def unhealthy(self) -> Connection:
        return node(block(UNITS[0]), block(UNITS[1], ActiveState="failed"))


async def test_all_units_are_asked_with_one_command() -> None:
    healthy = node(*map(block, UNITS))
    result = await diagnostic(healthy, UNITS)
    assert result.ok, result
    assert healthy.asked == [question(UNITS)]
    assert healthy.asked[0][:2] == ["systemctl", "show"]
    assert healthy.asked[0][-3:] == ["--", *UNITS]


async def test_a_failed_unit_is_shown_with_how_it_ended_and_what_it_said_last() -> None:
    failed = block(
        UNITS[1],
        ActiveState="failed",
        SubState="failed",
        Result="exit-code",
        ExecMainCode=1,
        ExecMainStatus=7,
    )
    connection = node(block(UNITS[0]), failed, output="2026 db[1]: \x1b[31mno disk\x1b[0m\n")
    result = await diagnostic(connection, UNITS)
    assert (result.ok, result.final) == (False, False)
    assert result.detail == (
        "db.service is failed (failed), result exit-code, exit status 7\n2026 db[1]: no disk"
    )
    assert connection.asked[-1] == last_lines(["db.service"])


async def test_a_unit_killed_by_a_signal_is_told_from_one_that_exited() -> None:
    killed = block(
        "app.service",
        ActiveState="failed",
        SubState="failed",
        Result="oom-kill",
        ExecMainCode=2,
        ExecMainStatus=9,
    )
    result = await diagnostic(node(killed))
    assert "is failed (failed), result oom-kill, ended by signal 9" in result.detail


async def test_a_unit_that_still_starts_is_asked_again() -> None:
    starting = block("app.service", ActiveState="activating", SubState="start-pre")
    result = await diagnostic(node(starting))
    assert (result.ok, result.final) == (False, False)
    assert "is activating (start-pre)" in result.detail


@pytest.mark.parametrize("state", ["disabled", "static", "indirect", "enabled-runtime", ""])
async def test_a_unit_that_would_not_come_up_at_boot_fails(state: str) -> None:
    active = node(block("app.service", UnitFileState=state))
    result = await diagnostic(active)
    assert not result.ok
    assert f"is not enabled ({state or 'no unit file'})" in result.detail
    assert (await diagnostic(active, enabled=False)).ok


async def test_a_unit_that_was_restarted_fails_for_good_though_it_is_active_now() -> None:
    result = await diagnostic(node(block("app.service", NRestarts=1)))
    assert (result.ok, result.final) == (False, True)
    assert "was restarted 1 times, 0 allowed" in result.detail


async def test_a_unit_in_a_crash_loop_fails_at_once() -> None:
    looping = block(
        "app.service",
        ActiveState="activating",
        SubState="auto-restart",
        NRestarts=4,
        Result="exit-code",
        ExecMainCode=1,
        ExecMainStatus=1,
    )
    result = await diagnostic(node(looping))
    assert result.final
    assert "is activating (auto-restart), result exit-code, exit status 1, was restarted 4" in (
        result.detail
    )


async def test_restarts_may_be_allowed() -> None:
    assert (await diagnostic(node(block("app.service", NRestarts=2)), max_restarts=2)).ok
    assert not (await diagnostic(node(block("app.service", NRestarts=3)), max_restarts=2)).ok


async def test_a_timer_has_no_restarts_to_count() -> None:
    timer = block("app.timer").replace("NRestarts=0\n", "")
    assert (await diagnostic(node(timer), ["app.timer"])).ok


async def test_a_unit_that_does_not_exist_fails_for_good_and_near_names_are_told() -> None:
    absent = block("sensr.service", LoadState="not-found", ActiveState="inactive")
    files = "sensor.service enabled enabled\nssh.service enabled enabled\n"
    result = await diagnostic(node(absent, files=files), ["sensr.service"])
    assert (result.ok, result.final) == (False, True)
    assert result.detail == "sensr.service does not exist (there is sensor.service)"


async def test_a_unit_that_cannot_be_loaded_says_why() -> None:
    bad = block("app.service", LoadState="bad-setting", LoadError='x "Unit has no ExecStart="')
    result = await diagnostic(node(bad))
    assert 'app.service is bad-setting x "Unit has no ExecStart="' in result.detail


async def test_an_answer_about_too_few_units_is_no_pass() -> None:
    result = await diagnostic(node(block(UNITS[0]), error="Failed to connect to bus\x07"), UNITS)
    assert (result.ok, result.final) == (False, False)
    assert "did not tell of 2 units: Failed to connect to bus" in result.detail


async def test_a_flood_in_the_journal_is_cut() -> None:
    failed = node(block("app.service", ActiveState="failed"), output="x" * 1_000_000)
    assert len((await diagnostic(failed)).detail) < 2500


@given(st.text(max_size=300))
def test_no_answer_breaks_the_parser(text: str) -> None:
    for facts in parse(text):
        assert restarts(facts) >= 0


def test_the_check_keeps_nothing_between_nodes() -> None:
    check = configured(SystemdCheck, units=UNITS)
    assert set(vars(check)) == {"settings", "folder"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "checks[0].units: missing"),
        ({"units": []}, "checks[0].units: "),
        ({"units": "app"}, "checks[0].units: should be a list"),
        ({"units": ["a b"]}, "units[0]: 'a b' is not the name of a systemd unit"),
        ({"units": ["a", "--all"]}, "units[1]: '--all' is not the name of a systemd unit"),
        ({"units": ["*.service"]}, "units[0]: '*.service' is not the name of a systemd unit"),
        ({"units": ["foo@.service"]}, "'foo@.service' is a template; name an instance, such as"),
        ({"units": ["a", "a"]}, "units[1]: 'a' is named twice"),
        ({"units": ["a"], "max_restarts": -1}, "checks[0].max_restarts: should be at least 0"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(SystemdCheck, **keys)
