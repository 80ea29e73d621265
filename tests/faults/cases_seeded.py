"""Faults that are drawn: kills at random moments, and networks that break a share of all calls.

A case's seed decides what is drawn, but not how fast this computer is. Play one again with
`python -m tests.faults.campaign -k "aws and kill and seed17"`.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from spotdeploy.model import Verdict
from spotdeploy.testing.fake import faults
from tests.cycles.project import Done, eventually
from tests.faults.case import Case, Family, Open
from tests.faults.cloud_testbeds import open_aws, open_azure, open_gcp
from tests.faults.lab_testbed import LabTestbed, waits
from tests.faults.launcher import How, launcher
from tests.faults.outcome import KILLED
from tests.faults.testbed import FakeTestbed, Testbed
from tests.labs.broken_network import BrokenNetwork

KILLS: Final = 60
NETWORKS: Final = 40
LEAST, MOST = 0.05, 0.95
"""The share of calls that a network breaks."""
CLOUDS: Final[Mapping[str, Open]] = {"aws": open_aws, "gcp": open_gcp, "azure": open_azure}
SETTLE: Final = 0.4
"""Seconds that listings may lag."""
HURRY: Final = {
    "spotdeploy.provider:Provider.poll_seconds": 0.1,
    "spotdeploy.patience:PATIENCE": 1.5,
    "spotdeploy.phases.boot:GRACE": 0.3,
}
"""A case is one of hundreds: it waits for less than the scripted ones do."""
BOOT, DESTROY, DESTROY_AGAIN = "1s", "6s", "40s"
SPAN: Final = 3.0
"""Seconds from its first call within which a command is killed; it may have ended by then."""
ENDED: Final = frozenset({Verdict.INFRASTRUCTURE_FAILED, Verdict.LEAKED})
"""How a cycle whose nodes never answer ends on a broken network."""
QUICK: Final = 1
"""The seed that every test run plays."""


def cases() -> Iterator[Case]:
    """Every case."""
    for where in (*CLOUDS, "fake"):
        for seed in range(1, KILLS + 1):
            yield _case(where, Family.RANDOM_KILLS, "kill -9 at a random moment", seed, KILLS)
        for seed in range(1, NETWORKS + 1):
            fault = "calls that fail" if where == "fake" else "a network that breaks calls"
            yield _case(where, Family.BROKEN_NETWORK, fault, seed, NETWORKS)


def _case(where: str, family: Family, fault: str, seed: int, seeds: int) -> Case:
    kills = family is Family.RANDOM_KILLS
    play: Callable[[Testbed, random.Random], Done] = _killed if kills else _broken

    def action(testbed: Testbed) -> Done:
        return play(testbed, _drawn(where, family, seed))

    return Case(
        family,
        "fake" if where == "fake" else f"{where} lab",
        f"{fault}, seed{seed:02}",
        ENDED | {KILLED, Verdict.PASSED} if kills else ENDED,
        _opened(where, family, seed),
        action,
        quick=seed == QUICK and where != "fake",
        leaves=kills,
        row=f"{fault}, {seeds} seeds",
    )


def _drawn(where: str, family: Family, seed: int) -> random.Random:
    """What is drawn for a case. Text as a seed gives the same on every computer."""
    return random.Random(f"{where} {family} {seed}")


def _opened(where: str, family: Family, seed: int) -> Open:
    @contextmanager
    def opened(folder: Path, request: pytest.FixtureRequest) -> Iterator[Testbed]:
        if where == "fake":
            with FakeTestbed(folder) as fake:
                fake.table |= {"settle": SETTLE, "locations": ["here", "there"]}
                _hurry(fake, How(constants=HURRY))
                yield fake
            return
        made = CLOUDS[where](folder, request)
        assert isinstance(made, LabTestbed)
        if family is Family.BROKEN_NETWORK:
            share = _drawn(where, family, seed).uniform(LEAST, MOST)
            made.lab.front = BrokenNetwork(seed, share)
        with made as testbed:
            constants = {**waits(where, made.constants), **HURRY}
            for name in constants:
                if name.endswith((".settle_seconds", ":VISIBLE_SECONDS")):
                    constants[name] = SETTLE
            _hurry(testbed, How(constants=constants))
            yield testbed

    return opened


def _hurry(testbed: Testbed, how: How) -> None:
    testbed.how = how
    testbed.project.command = launcher(how)
    testbed.project.config["timeouts"] = {"boot": BOOT, "destroy": DESTROY}


def _killed(testbed: Testbed, drawn: random.Random) -> Done:
    """A cycle, or the destroy of what one kept, is killed; perhaps the destroy after it too, and
    perhaps the journal is lost then."""
    if isinstance(testbed, LabTestbed):
        testbed.add_bystander()
        testbed.lag(drawn.choice((0.0, 0.5 * SETTLE)))
    testbed.project.config["timeouts"]["destroy"] = DESTROY_AGAIN
    if drawn.random() < 0.3:
        testbed.project.cycle("--keep", "always")
        done = _kill(testbed, "destroy", drawn)
    else:
        done = _kill(testbed, "cycle", drawn)
    if drawn.random() < 0.25:
        _kill(testbed, "destroy", drawn)
    if drawn.random() < 0.2:
        shutil.rmtree(testbed.project.folder / ".spotdeploy", ignore_errors=True)
    return done


def _kill(testbed: Testbed, command: str, drawn: random.Random) -> Done:
    """Kill a command at any moment after its first call; it may have ended before."""
    moment = drawn.uniform(0, SPAN)
    with testbed.project.started(command) as running:
        if isinstance(testbed, LabTestbed):
            calls = testbed.lab.calls
            before = len(calls)
            eventually(lambda: len(calls) > before, f"{command} asks the cloud")
        time.sleep(moment)
        running.send(signal.SIGKILL)
        return running.end()


def _broken(testbed: Testbed, drawn: random.Random) -> Done:
    """A cycle on a network that breaks calls, or on a fake cloud whose calls fail."""
    if isinstance(testbed, LabTestbed):
        testbed.add_bystander()
    else:
        assert isinstance(testbed, FakeTestbed)
        testbed.cloud.script(*_failing(drawn))
    return testbed.project.cycle()


def _failing(drawn: random.Random) -> Iterator[faults.AnyFault]:
    share = drawn.uniform(LEAST, MOST)
    kinds = (faults.Throttled, faults.Outage, faults.LostReply, faults.Bug)
    for nth in range(1, 200):
        if drawn.random() < share:
            yield drawn.choice(kinds)(call="any", at=nth)
