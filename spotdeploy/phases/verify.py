"""Verify: every check must become true within its time and hold for its time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from spotdeploy.check import Check, CheckResult, Mandatory
from spotdeploy.errors import ShutOutError, UnreachableError
from spotdeploy.events import CheckAnswered
from spotdeploy.model import Phase
from spotdeploy.node.connection import connect_until
from spotdeploy.run.node_run import NodeRun, one_line
from spotdeploy.run.verdict import CheckOutcome
from spotdeploy.text import plain

DETAIL_LIMIT: Final = 4000
NAME_LIMIT: Final = 200
CONNECT_SECONDS: Final = 30.0
PATIENCE: Final = 300.0
"""Seconds beyond a check's own time within which it must answer one question."""


async def connect(node_run: NodeRun) -> None:
    """Connect to a node that an earlier run made.

    Raises:
        PayloadError: it is the node, by its host key, and it lets us in no more.
        UnreachableError: no answer, another host key, or none on record to know the node by.
    """
    connection = node_run.connection
    if not connection.host_key:
        raise UnreachableError(
            f"{node_run.node.name}: its host key is not on record here, and none is trusted on "
            "first use: whether it is the node that answers cannot be proven",
            phase=node_run.phase,
        )
    try:
        await connect_until(connection, CONNECT_SECONDS)
    except ShutOutError as error:
        if error.unknown:
            raise
        message = one_line(error, node_run.node)
        raise node_run.blame_payload(f"its ssh no longer lets us in: {message}") from error


async def verify(node_run: NodeRun) -> None:
    """Ask every check of the plan on one node; the answers are in `run.checks`.

    Raises:
        PayloadError: a check failed on a node that could be reached.
        UnreachableError: the last answer of a check was that the node cannot be reached.
    """
    async with node_run.in_phase(Phase.VERIFY):
        checks = node_run.plan.checks
        first = [check for check in checks if check.mandatory is Mandatory.NEVER]
        last = [check for check in checks if check.mandatory is not Mandatory.NEVER]
        node_run.checks = await _together(node_run, first)
        node_run.checks += await _together(node_run, last)
        if not node_run.connection.connected:
            await _let_in_again(node_run)
            raise UnreachableError(
                f"{node_run.node.name}: the connection was lost", phase=Phase.VERIFY
            )
        failed = [check for check in node_run.checks if not check.ok]
        if failed:
            await node_run.sign_of_life()
            raise node_run.blame_payload(
                "; ".join(f"{c.name}: {first_line(c.detail)}" for c in failed)
            )


async def _let_in_again(node_run: NodeRun) -> None:
    """Blame the payload when the connection is lost because the node lets us in no more."""
    try:
        await node_run.reconnect()
    except ShutOutError as error:
        message = one_line(error, node_run.node)
        raise node_run.blame_payload(f"its ssh no longer lets us in: {message}") from error
    except UnreachableError:
        return  # no answer of the node's


def first_line(text: str) -> str:
    """The first line of a detail, for one-line messages."""
    return text.strip().partition("\n")[0]


async def _together(node_run: NodeRun, checks: Sequence[Check[Any]]) -> tuple[CheckOutcome, ...]:
    return tuple(await asyncio.gather(*(_Loop(node_run, check).settle() for check in checks)))


class _Loop:
    """The questions to one check on one node."""

    def __init__(self, node_run: NodeRun, check: Check[Any]) -> None:
        self._node_run = node_run
        self._check = check
        self._last: CheckResult | None = None
        self._asked = 0

    async def settle(self) -> CheckOutcome:
        """Ask until the answer is settled."""
        settings = self._check.settings
        clock = asyncio.get_running_loop()
        started = clock.time()
        good_since: float | None = None
        instances: Mapping[str, str] = {}
        while True:
            result = await self._ask()
            now = clock.time()
            if result.ok and good_since is not None:
                result = self._same(result, instances)
            instances = result.instances if result.ok else {}
            good_since = (good_since if good_since is not None else now) if result.ok else None
            if good_since is not None and now >= good_since + settings.stable_for:
                return self._settled(result, now - started)
            if result.final or (good_since is None and now >= started + settings.within):
                return self._settled(result, now - started)
            self._changed(result)
            await asyncio.sleep(self._pause(now, started, good_since))

    def _same(self, result: CheckResult, before: Mapping[str, str]) -> CheckResult:
        """A good answer, unless it is about something that was started since the one before."""
        anew = [one for one, word in result.instances.items() if before.get(one, word) != word]
        if not anew:
            return result
        stable = self._check.settings.stable_for
        return self._check.failed(
            f"started again by something, while it should be stable for {stable}: {', '.join(anew)}"
        )

    def _pause(self, now: float, started: float, good_since: float | None) -> float:
        """Until the next question; a deadline inside the pause shortens it."""
        settings = self._check.settings
        if good_since is not None:
            deadline = good_since + settings.stable_for
        else:
            deadline = started + settings.within
        pause: float = min(settings.every, deadline - now)
        return max(0.0, pause)

    async def _ask(self) -> CheckResult:
        self._asked += 1
        try:
            result = await self._answer()
        except UnreachableError as error:
            result = self._check.failed(f"unreachable: {error.message}")
        return replace(
            result,
            name=plain(result.name, limit=NAME_LIMIT),
            detail=plain(result.detail, limit=DETAIL_LIMIT),
        )

    async def _answer(self) -> CheckResult:
        seconds = self._check.settings.within + PATIENCE
        try:
            async with asyncio.timeout(seconds) as limit:
                if not self._node_run.connection.connected:
                    await self._node_run.reconnect()
                return await self._check.run(self._node_run.node, self._node_run.connection)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._check.failed(f"the check gave no answer within {seconds:g}s")

    def _changed(self, result: CheckResult) -> None:
        if self._last is None or (self._last.ok, self._last.detail) != (result.ok, result.detail):
            self._emit(result, settled=False)
        self._last = result

    def _settled(self, result: CheckResult, seconds: float) -> CheckOutcome:
        self._emit(result, settled=True)
        return CheckOutcome(result.name, result.ok, result.detail, seconds, self._asked)

    def _emit(self, result: CheckResult, *, settled: bool) -> None:
        self._node_run.bus.emit(
            CheckAnswered(
                node=self._node_run.node.id,
                check=result.name,
                ok=result.ok,
                settled=settled,
                detail=result.detail,
            )
        )
