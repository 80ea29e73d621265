"""The check `systemd`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.check import Check, CheckResult, CommandResult, Connection
from spotdeploy.model import Manifest, PayloadFile
from spotdeploy.testing import CheckContract, ScriptedConnection
from spotdeploy_checks.systemd import (
    PROPERTIES,
    SystemdCheck,
    last_lines,
    parse,
    question,
    restarts,
)
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
            "systemctl (--user )?show": CommandResult(1 if error else 0, "\n".join(blocks), error),
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


def started(unit: str, number: int, **facts: object) -> str:
    """A healthy unit in its n-th start."""
    times = {"ActiveEnterTimestampMonotonic": number, "ExecMainStartTimestampMonotonic": number}
    return block(unit, InvocationID=f"{number:032x}", **times, **facts)


async def test_an_answer_tells_the_starts_apart_whoever_started_the_unit() -> None:
    first = await diagnostic(node(*(started(unit, 1) for unit in UNITS)), UNITS)
    same = await diagnostic(node(*(started(unit, 1) for unit in UNITS)), UNITS)
    second = await diagnostic(node(started(UNITS[0], 1), started(UNITS[1], 2)), UNITS)
    assert first.instances == same.instances
    assert first.instances[UNITS[0]] == second.instances[UNITS[0]]
    assert first.instances[UNITS[1]] != second.instances[UNITS[1]]


@pytest.mark.parametrize("name", PROPERTIES[-3:])
async def test_each_sign_of_a_start_counts_by_itself(name: str) -> None:
    answers = [await diagnostic(node(block("app.service", **{name: n}))) for n in (7, 8)]
    assert answers[0].instances != answers[1].instances


RAN = {"ActiveState": "inactive", "SubState": "dead", "ExecMainCode": 1}


async def test_a_oneshot_that_ended_well_succeeded_and_may_run_again() -> None:
    for facts in (RAN, {**RAN, "ActiveState": "active", "SubState": "exited"}):
        result = await diagnostic(node(started("app.service", 5, **facts)), state="succeeded")
        assert (result.ok, result.instances) == (True, {}), result


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {**RAN, "ExecMainStartTimestampMonotonic": 0, "ExecMainCode": 0},
            "has not run since boot",
        ),
        (
            {**RAN, "ExecMainStartTimestampMonotonic": 0, "ConditionResult": "no"},
            "has not run since boot: a condition of its was not met",
        ),
        ({**RAN, "ActiveState": "activating", "SubState": "start"}, "has not ended yet"),
        (
            {**RAN, "ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": 3},
            "did not succeed: it is failed (dead), result exit-code, exit status 3",
        ),
        ({**RAN, "Result": "timeout", "ExecMainCode": 2}, "did not succeed"),
        ({"ExecMainCode": 0}, "has not ended: it is active (running)"),
        ({**RAN, "ExecMainStatus": 2}, "has not ended"),
        ({**RAN, "UnitFileState": "disabled"}, "is not enabled"),
        ({**RAN, "LoadState": "masked"}, "is masked"),
    ],
)
async def test_a_oneshot_that_did_not_succeed_is_told(
    facts: dict[str, object], message: str
) -> None:
    usual: dict[str, object] = {"ExecMainStartTimestampMonotonic": 5}
    result = await diagnostic(node(block("app.service", **usual | facts)), state="succeeded")
    assert (result.ok, result.final) == (False, False)
    assert message in result.detail


async def test_who_asks_whether_a_oneshot_is_active_is_told_what_to_ask() -> None:
    result = await diagnostic(node(started("app.service", 5, **RAN)))
    assert not result.ok
    assert 'ask for state = "succeeded"' in result.detail


def timed(*services: str) -> ScriptedConnection:
    """A node with a timer, and what systemctl tells of the services that it starts."""
    names = " ".join(f"job{n}.service" for n in range(len(services)))
    timer = block("app.timer", Triggers=names).replace("NRestarts=0\n", "")
    return ScriptedConnection(
        {
            r"systemctl show .* app\.timer": CommandResult(0, timer, ""),
            r"systemctl show": CommandResult(0, "\n".join(services), ""),
            "journalctl": CommandResult(0, "", ""),
        }
    )


@pytest.mark.parametrize(
    "facts", [{"ActiveState": "failed"}, {"ActiveState": "inactive", "Result": "exit-code"}]
)
async def test_a_timer_is_only_as_well_as_the_last_run_of_what_it_starts(
    facts: dict[str, object],
) -> None:
    good, bad = block("job0.service", **RAN), block("job1.service", **facts, UnitFileState="static")
    assert (await diagnostic(timed(good), ["app.timer"])).ok
    result = await diagnostic(timed(good, bad), ["app.timer"])
    assert (result.ok, result.final) == (False, False)
    assert "job1.service (started by app.timer) failed in its last run" in result.detail
    assert "job0" not in result.detail
    assert not (await diagnostic(timed(""), ["app.timer"])).ok


async def test_units_of_a_user_are_asked_of_that_users_manager() -> None:
    asked = node(block("bot.service"))
    assert (await diagnostic(asked, ["bot.service"], user="bot")).ok
    assert "setpriv" in asked.asked[0][2]
    assert asked.asked[0][3:7] == ["sh", "bot", "systemctl", "--user"]
    failed = node(block("bot.service", ActiveState="failed"), output="no token")
    result = await diagnostic(failed, ["bot.service"], user="bot")
    assert "no token" in result.detail
    assert "_SYSTEMD_USER_UNIT=bot.service" in failed.asked[-1]


async def test_names_that_are_like_it_are_of_the_same_kind() -> None:
    absent = block("bot.service", LoadState="not-found", ActiveState="inactive")
    result = await diagnostic(node(absent, files="boot.target static -\n"), ["bot.service"])
    assert result.detail == 'bot.service does not exist (a user\'s own unit needs user = "NAME")'


def shipping(*names: str) -> Manifest:
    files = (PayloadFile(f"payload/{name}", 0o644, "0" * 64, 1, Path(name)) for name in names)
    return Manifest(tuple(files))


@pytest.mark.parametrize(
    ("unit", "doubt"),
    [
        ("worker@1.service", ""),
        ("worker@a@b.service", ""),
        ("worker.service", ""),
        ("app-web.service", "no unit app-web.service is in the payload; is app-db.service meant?"),
        ("db.service", ""),
        ("docker.service", ""),
        ("app-db.timer", ""),
    ],
)
def test_a_unit_that_is_not_shipped_is_a_doubt_at_the_most(unit: str, doubt: str) -> None:
    check = configured(SystemdCheck, units=[unit])
    manifest = shipping("worker@.service", "app-db.service", "a/worker.service")
    assert check.objection(manifest) == ""
    assert check.doubt(manifest) == doubt


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
        ({"units": ["a"], "state": "dead"}, "checks[0].state: "),
        ({"units": ["a"], "user": "-x"}, "user: '-x' is not the name of a user"),
        ({"units": ["a"], "max_restarts": -1}, "checks[0].max_restarts: should be at least 0"),
    ],
)
def test_a_mistake_in_the_table_is_named(keys: dict[str, object], message: str) -> None:
    assert message in refusal(SystemdCheck, **keys)
