"""A fault case: one thing that goes wrong in one place, and how a run must end then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest

from spotdeploy.model import Verdict
from tests.cycles.project import Done
from tests.faults.testbed import Testbed

REFUSED: Final = "refused"
"""How a command ends (exit code 2) that a rule, the config or this computer forbids: it made
nothing, destroyed nothing, and said what to do next."""


Ends = Verdict | str | None | frozenset[Verdict | str]
"""How a command must end: a verdict, `REFUSED`, None for one that is killed, or one of several."""


class Family(StrEnum):
    """Faults that belong together, in the order of the page."""

    KILLED = "Killed at a step"
    REPLIES = "Lost replies and late effects"
    CAPACITY = "Capacity and quota"
    REFUSALS = "Refusals"
    THROTTLING = "Throttling and outages"
    LISTINGS = "Listings that lag or lie"
    CREDENTIALS = "Credentials that end in the middle"
    GOING = "Nodes and things that do not go"
    INTERRUPTION = "Interruption"
    HOST = "This computer"
    STOPPED = "Stopped by the user"
    STOP = "Stopped by runners, shells and terminals"
    CONNECTION = "Connections cut"
    BOOT = "Nodes that never come up"
    PAYLOAD = "Payloads that misbehave"
    HOSTILE = "Nodes that are against us"
    RANDOM_KILLS = "Killed at random moments"
    BROKEN_NETWORK = "Networks that break 5 to 95 % of calls"


Open = Callable[[Path, pytest.FixtureRequest], AbstractContextManager[Testbed]]
"""Makes a testbed in an empty folder, with what fixtures it needs."""
Action = Callable[[Any], Done]
"""Makes the trouble in the testbed and gives how the troubled command ended."""
Also = Callable[[Any, Done], Iterable[str]]
"""What must not be, beside what no case may show. Asked before the testbed is healed."""


@dataclass(frozen=True)
class Case:
    """One case."""

    family: Family
    where: str
    """As the page names the testbed."""
    fault: str
    """What goes wrong, in a few words."""
    expect: Ends
    """How the troubled command must end."""
    opened: Open
    action: Action
    quick: bool = False
    """Part of every test run."""
    then: str = "destroy"
    """The command that must clear up afterwards."""
    leaves: bool = False
    """The troubled command may end with things left without calling it a leak: it was refused
    while they existed, told to stop at once, or told to keep them."""
    machines: bool = False
    """Boots real machines."""
    also: Also | None = None
    row: str = ""
    """The page's line, where it is shared with other cases; empty for one of its own."""

    @property
    def id(self) -> str:
        """For people, and for pytest's -k."""
        return f"{self.where}: {self.fault}"
