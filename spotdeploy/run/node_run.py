"""One node in one run: its connection, the phase it is in, its times and results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.config.schema import Config
from spotdeploy.errors import PayloadError, ProviderError, SpotdeployError, UnreachableError
from spotdeploy.events import Bus, PhaseEnded, PhaseProgress, PhaseStarted
from spotdeploy.model import Fate, FateKind, Node, Phase
from spotdeploy.node.connection import NodeConnection, connect_until
from spotdeploy.node.exec import TIMED_OUT
from spotdeploy.run.admission import Admission
from spotdeploy.run.context import Plan, Run
from spotdeploy.run.location import Location
from spotdeploy.run.roster import Roster
from spotdeploy.run.trace import keep_trace
from spotdeploy.run.verdict import CheckOutcome
from spotdeploy.text import plain

SIGN_SECONDS: Final = 10.0


@dataclass
class NodeRun:
    """The working state of one node in one run. Only its own task changes it."""

    run: Run
    location: Location
    node: Node
    connection: NodeConnection
    roster: Roster = field(default_factory=Roster)
    """The other nodes of the run."""
    admission: Admission = field(default_factory=Admission)
    """Who of them is let in from other locations."""
    phase: Phase = Phase.CREATE
    seconds: dict[Phase, float] = field(default_factory=dict)
    checks: tuple[CheckOutcome, ...] = ()
    announced: Fate | None = None
    """What the node itself read of an interruption, whether or not the cloud confirms it."""
    _progress: str = ""
    _reconnecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def bus(self) -> Bus:
        """Where its events go."""
        return self.run.bus

    @property
    def config(self) -> Config:
        """What the config says."""
        return self.run.config

    @property
    def plan(self) -> Plan:
        """What is shipped to it and checked on it."""
        return self.run.plan

    @asynccontextmanager
    async def in_phase(self, phase: Phase, limit: float | None = None) -> AsyncIterator[None]:
        """Run a block as a phase: events, time, and `limit` seconds at most.

        Raises the block's NodeError under this phase's name; UnreachableError when time is up.
        """
        self.phase, self._progress = phase, ""
        self.bus.emit(PhaseStarted(node=self.node.id, phase=phase))
        started = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError as error:
            message = f"{self.node.name}: {phase} did not end within {limit:.0f}s"
            self._ended(phase, started, message)
            raise UnreachableError(message, phase=phase) from error
        except (Exception, asyncio.CancelledError) as error:
            self._ended(phase, started, str(error) or "cancelled")
            raise
        self._ended(phase, started, "")

    def progress(self, text: str) -> None:
        """Tell what the node works on in its phase, in one line, where that is something new."""
        if text != self._progress:
            self._progress = text
            self.bus.emit(PhaseProgress(node=self.node.id, text=text))

    async def connect_until(self, seconds: float) -> None:
        """See `connection.connect_until`; why an attempt failed is told as progress."""
        await connect_until(
            self.connection, seconds, tell=lambda error: self.progress(one_line(error, self.node))
        )

    async def reconnect(self) -> None:
        """Connect again, once for all who ask at the same time. Raises UnreachableError."""
        async with self._reconnecting:
            if not self.connection.connected:
                await self.connection.connect()

    async def sign_of_life(self) -> None:
        """Make sure that the node still answers, over a new connection if need be: what did not
        come from it may not be blamed on the payload. Raises UnreachableError when it does not.
        """
        try:
            result = await self.connection.run(["true"], timeout=SIGN_SECONDS)
        except UnreachableError:
            await self.reconnect()
            return
        if result.exit_code == TIMED_OUT:
            await self.connection.connect(SIGN_SECONDS)

    async def fate(self) -> Fate:
        """What the cloud says became of the node; what it cannot be asked is not known."""
        try:
            return await self.location.fate(self.node)
        except ProviderError as error:
            return Fate(FateKind.UNKNOWN, error.explained)
        except Exception as error:  # noqa: BLE001  # of a plugin: no answer is no verdict on the payload
            what = f"asking {self.location} what became of {self.node.name}"
            return Fate(FateKind.UNKNOWN, keep_trace(self.run, error, what))

    def blame_payload(self, message: str) -> PayloadError:
        """An error that says the payload is at fault in the present phase."""
        return PayloadError(f"{self.node.name}: {message}", phase=self.phase)

    def _ended(self, phase: Phase, started: float, message: str) -> None:
        self.seconds[phase] = time.monotonic() - started
        self.bus.emit(
            PhaseEnded(
                node=self.node.id,
                phase=phase,
                ok=not message,
                seconds=self.seconds[phase],
                detail=message,
            )
        )


def one_line(error: SpotdeployError, node: Node) -> str:
    """An error's message without the node's name in front."""
    return plain(error.message.removeprefix(f"{node.name}: "), limit=2000)
