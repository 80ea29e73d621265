"""A check that keeps every promise, and checks that each break one."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.errors import UnreachableError
from spotdeploy.model import Node
from tests.testing.teeth import caught_by

HOSTILE = tuple(f"test_hostile_output_is_no_crash[{code}]" for code in (0, 1, 124, 127, 255, -9))


class DiskSettings(CheckSettings, frozen=True, kw_only=True):
    type: str = "disk"
    at_least: int


class DiskCheck(Check[DiskSettings]):
    """Asks a command and a port, and trusts neither."""

    kind = "disk"
    Settings = DiskSettings

    def title(self) -> str:
        return f"disk >= {self.settings.at_least}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        done = await connection.run(["df"])
        try:
            reader, writer = await connection.dial(9100)
        except ConnectionError:
            return self.failed("port 9100 refuses")
        data = await reader.read(64)
        writer.close()
        await writer.wait_closed()
        return self.judge(done, data)

    def judge(self, done: CommandResult, data: bytes) -> CheckResult:
        if not data:
            return self.failed("port 9100 says nothing")
        try:
            free = int(json.loads(done.stdout))
        except (ValueError, TypeError, RecursionError, OverflowError):
            return self.failed("df gave no number")
        return self.passed() if free >= self.settings.at_least else self.failed(f"{free} free")


@caught_by("test_the_kind_is_the_type_of_its_table")
class NamesAnotherKind(DiskCheck):
    kind = "disc"


class LaxSettings(DiskSettings, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


@caught_by("test_settings_refuse_unknown_keys")
class TakesAnyKey(DiskCheck):
    Settings = LaxSettings


@caught_by("test_settings_take_the_keys_that_every_check_has")
class IgnoresItsTimes(DiskCheck):
    def __init__(self, settings: DiskSettings) -> None:
        super().__init__(DiskSettings(at_least=settings.at_least, name=settings.name))


@caught_by("test_the_title_is_one_line_that_says_something")
class HasATitleOfTwoLines(DiskCheck):
    def title(self) -> str:
        return "disk\nspace"


@caught_by("test_a_name_in_the_table_replaces_the_title")
class KeepsItsTitle(DiskCheck):
    @property
    def name(self) -> str:
        return self.title()


@caught_by("test_it_passes_on_a_healthy_node", "test_it_can_be_asked_again")
class NeverPasses(DiskCheck):
    def judge(self, done: CommandResult, data: bytes) -> CheckResult:
        return self.failed("no")


@caught_by("test_it_fails_on_an_unhealthy_node_and_says_what_it_saw", "test_it_can_be_asked_again")
class PassesWhateverDfSays(DiskCheck):
    def judge(self, done: CommandResult, data: bytes) -> CheckResult:
        return self.passed()


@caught_by("test_it_fails_on_an_unhealthy_node_and_says_what_it_saw")
class DoesNotSayWhy(DiskCheck):
    def judge(self, done: CommandResult, data: bytes) -> CheckResult:
        result = super().judge(done, data)
        return CheckResult(result.ok, result.name)


@caught_by("test_it_asks_once_and_does_not_wait_for_a_better_answer")
class WaitsForABetterAnswer(DiskCheck):
    async def run(self, node: Node, connection: Connection) -> CheckResult:
        for _ in range(7):
            with suppress(UnreachableError):
                result = await super().run(node, connection)
                if result.ok or result.detail != "5 free":
                    return result
                await asyncio.sleep(0.5)
        return self.failed("it never became good")


@caught_by("test_it_can_be_asked_again")
class RemembersItsFirstAnswer(DiskCheck):
    first: CheckResult | None = None

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        self.first = self.first or await super().run(node, connection)
        return self.first


@caught_by("test_an_unreachable_node_is_no_pass_and_no_crash")
class TakesUnreachableForGood(DiskCheck):
    async def run(self, node: Node, connection: Connection) -> CheckResult:
        try:
            return await super().run(node, connection)
        except UnreachableError:
            return self.passed()


@caught_by("test_an_unreachable_node_is_no_pass_and_no_crash")
class CrashesOnAnUnreachableNode(DiskCheck):
    async def run(self, node: Node, connection: Connection) -> CheckResult:
        try:
            return await super().run(node, connection)
        except UnreachableError as error:
            raise RuntimeError("lost") from error


@caught_by("test_a_node_that_refuses_everything_is_a_failure")
class CrashesOnARefusedPort(DiskCheck):
    async def run(self, node: Node, connection: Connection) -> CheckResult:
        done = await connection.run(["df"])
        reader, _ = await connection.dial(9100)
        return self.judge(done, await reader.read(64))


@caught_by(*HOSTILE)
class TrustsOutput(DiskCheck):
    def judge(self, done: CommandResult, data: bytes) -> CheckResult:
        if done.exit_code == 0 and done.stdout.isdigit():
            return super().judge(done, data)
        return super().judge(done, data) if int(done.stdout) else self.failed("none free")


@caught_by("test_settings_hold_what_the_table_says", "test_settings_are_frozen")
class ForgetsItsSettings(DiskCheck):
    def __init__(self, settings: DiskSettings) -> None:
        super().__init__(settings)
        self.__dict__["settings"] = _Loose(settings)


class _Loose:
    """Has every attribute of the settings, and is none."""

    def __init__(self, settings: DiskSettings) -> None:
        for field in settings.__struct_fields__:
            setattr(self, field, getattr(settings, field))
