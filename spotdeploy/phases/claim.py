"""Claim: while a run changes a deployment, no run on another computer may.

The lock keeps runs of one home apart. A claim does that for homes, computers and accounts' users: a
small thing in the cloud itself that says which run is at work, and until when it counts at most, so
that a run that died does not block others for longer than its own timeouts. Providers without
claims, and clouds that refuse one, leave a warning at most: the labels still say whose nodes are
whose, and a run ends only its own.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from spotdeploy import labels
from spotdeploy.duration import spell
from spotdeploy.errors import ProviderError, RefusedError, SpotdeployError
from spotdeploy.events import Note
from spotdeploy.model import Resource
from spotdeploy.phases.findings import longest_life
from spotdeploy.run.cancellation import finish_despite_cancel
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import keep_trace
from spotdeploy.state import ids
from spotdeploy.state.lock import home_id

MARGIN: Final = 300.0
"""Seconds beside its timeouts that a run may take: evidence, and clocks that differ."""
ANSWER: Final = 60.0
"""Seconds that a cloud is waited for, with all repetitions, before the run goes on without."""


@asynccontextmanager
async def claimed(run: Run, command: str, *, wait: bool = False) -> AsyncIterator[None]:
    """Hold the claim of the run's deployment in all its locations while the block runs.

    Raises RefusedError while another run holds one, which it names; with `wait`, waits for it.
    """
    claims = _Claims(run, command)
    try:
        for location in sorted(run.all_locations, key=lambda one: one.key):  # none waits in a ring
            await claims.take(location, wait=wait)
        yield
    finally:
        await finish_despite_cancel(claims.give_back())


class _Claims:
    def __init__(self, run: Run, command: str) -> None:
        self._run = run
        self._home = home_id()
        self._until = time.time() + _longest(run)
        self._labels = labels.for_claim(
            run.deployment, run.id, self._home, command, platform.node(), self._until
        )
        self._held: list[tuple[Location, Resource]] = []
        self._unanswered: set[Location] = set()
        self._answer = min(ANSWER, run.config.timeouts.destroy)

    async def take(self, location: Location, *, wait: bool) -> None:
        told, patience = False, 0.0
        while (found := await self._ask(location)) is not None:
            if self._is_ours(found):
                self._held.append((location, found))
                return
            if self._is_void(found):
                patience = patience or time.monotonic() + self._answer
                if time.monotonic() > patience:  # deleted, says the cloud, and still there
                    self._warn(location, "made", ProviderError(f"{found} stays when it is deleted"))
                    return
                if not await self._release(location, found, "made"):
                    return
            elif wait:
                if not told:
                    self._run.bus.emit(Note(text=f"waiting for {self._describe(found)}"))
                told = True
            else:
                by_hand = location.provider.manual_delete_command(found)
                raise RefusedError(
                    f"{self._run.deployment} is in use by {self._describe(found)}",
                    hint=f"wait for it with --wait; if it is dead: {by_hand}",
                )
            await asyncio.sleep(location.provider.poll_seconds)

    async def give_back(self) -> None:
        """Delete the claims, those too that may have been made without an answer. One that has run
        out may be another run's by now."""
        await asyncio.gather(*(self._ask_again(location) for location in self._unanswered.copy()))
        for location, claim in self._held:
            if time.time() < self._until:
                await self._release(location, claim, "given back")

    async def _ask_again(self, location: Location) -> None:
        """Until a cloud says whether there is a claim of ours."""
        try:
            async with asyncio.timeout(self._answer):
                found = await self._ask(location)
                while location in self._unanswered:
                    await asyncio.sleep(location.provider.poll_seconds)
                    found = await self._ask(location)
        except TimeoutError:
            unknown = ProviderError("the cloud does not say whether one was made")
            self._warn(location, "given back", unknown)
        else:
            if found is not None and self._is_ours(found):
                self._held.append((location, found))

    async def _release(self, location: Location, claim: Resource, what: str) -> bool:
        """Delete one; False, and told, where that cannot be done: it runs out by itself."""
        trouble: Exception | None = None
        try:
            async with asyncio.timeout(self._answer):
                while True:
                    try:
                        await location.release([claim])
                    except ProviderError as error:
                        trouble = error
                    else:
                        return True
                    await asyncio.sleep(location.provider.poll_seconds)
        except Exception as error:  # noqa: BLE001  # whoever may end nodes may do without
            self._warn(location, what, trouble or error)
            return False

    async def _ask(self, location: Location) -> Resource | None:
        """The claim that is there now; None, and told, where there can be none."""
        again = location in self._unanswered
        self._unanswered.add(location)
        try:
            async with asyncio.timeout(self._answer):
                found = await location.claim(self._labels)
        except Exception as error:  # noqa: BLE001  # whoever may end nodes may do without
            if not again:
                self._warn(location, "made", error)
            return None
        self._unanswered.remove(location)
        return found

    def _is_ours(self, found: Resource) -> bool:
        return found.labels.get(labels.RUN) == self._run.id

    def _is_void(self, found: Resource) -> bool:
        """True for one of a run that is over: of this home, whose lock we hold, or run out."""
        until = labels.expires_at(found.labels)
        home = labels.claimed_by(found.labels)[0]
        return home == self._home or (until is not None and until < time.time())

    def _describe(self, found: Resource) -> str:
        _, command, host = labels.claimed_by(found.labels)
        name = found.labels.get(labels.RUN, "")
        now, began, until = time.time(), ids.began_at(name), labels.expires_at(found.labels)
        what = f"run {name}" if name else f"whoever made {found}"
        told = [f"'spotdeploy {command}'"] if command else []
        told += [f"on {host}"] if host else []
        told += [f"begun {spell(float(int(now - began)))} ago"] if began and began < now else []
        told += [f"for {spell(float(int(until - now)))} more at most"] if until else []
        return f"{what} ({', '.join(told)})" if told else what

    def _warn(self, location: Location, what: str, error: Exception) -> None:
        if isinstance(error, SpotdeployError):
            message = error.message
        else:
            message = keep_trace(self._run, error, f"claiming in {location}")
        text = f"no claim could be {what} in {location}: {message}"
        self._run.bus.emit(Note(text=text, warning=True))


def _longest(run: Run) -> float:
    """Seconds that the run takes at most."""
    destroy = run.config.timeouts.destroy
    return 2 * destroy + sum(_longest_of_group(group) + destroy for group in run.groups) + MARGIN


def _longest_of_group(group: Run) -> float:
    """Seconds that a group takes at most, once those that it waits for have passed."""
    nodes, destroy = group.config.nodes, group.config.timeouts.destroy
    again = nodes.replacements if nodes.on_interruption == "replace" else 0
    life = longest_life(group.project, group.plan.checks)
    return (1 + again) * (life + destroy) - destroy
