"""Interruptions at each phase, on this host and in the labs with machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from spotdeploy.model import Verdict
from tests.cycles.project import Done, Running
from tests.faults import local_testbed, machine_testbeds
from tests.faults.case import Case, Family, Open
from tests.faults.cycle_points import (
    Moment,
    booting,
    deploying,
    rebooting,
    shipping,
    troubled,
    uploading,
    verifying,
)
from tests.faults.node_testbed import NodeTestbed

PASSED, INFRASTRUCTURE = Verdict.PASSED, Verdict.INFRASTRUCTURE_FAILED
PHASES: Mapping[str, Moment] = {
    "boot": booting,
    "ship": uploading,
    "deploy": deploying,
    "reboot": rebooting,
    "verify": verifying,
}
TWICE = ("local", "gcp lab with machines")
"""Where it also happens twice: each replacement takes a cloud its time."""
TESTBEDS: Mapping[str, Open] = {"local": local_testbed.opened, **machine_testbeds.TESTBEDS}


def cases() -> Iterator[Case]:
    """Every case."""
    for where, opened in TESTBEDS.items():
        for phase in PHASES:
            yield Case(
                Family.INTERRUPTION,
                where,
                f"interrupted during {phase}",
                INFRASTRUCTURE,
                opened,
                partial(_interrupted, phase=phase),
                quick=(where, phase) == ("local", "verify"),
                machines=True,
            )
        yield Case(
            Family.INTERRUPTION,
            where,
            "interrupted and replaced",
            PASSED,
            opened,
            partial(_replaced, times=1, budget=2),
            machines=True,
        )
        if where not in TWICE:
            continue
        yield Case(
            Family.INTERRUPTION,
            where,
            "interrupted once more than may be replaced",
            INFRASTRUCTURE,
            opened,
            partial(_replaced, times=2, budget=1),
            machines=True,
        )


def _interrupted(testbed: NodeTestbed, *, phase: str) -> Done:
    """It must be told from a failure of the payload, in the cloud's words."""
    testbed.entry("sleep 30" if phase == "deploy" else "true", reboot=phase == "reboot")
    if phase == "verify":
        testbed.check(stable_for="60s")
    if phase == "ship":
        testbed.upload_much()
    done = troubled(testbed, PHASES[phase], lambda _: testbed.interrupt())
    assert re.search(rf"INFRASTRUCTURE FAILED: .*interrupted during {phase}: .+", done.err), done
    return done


def _replaced(testbed: NodeTestbed, *, times: int, budget: int) -> Done:
    testbed.entry("sleep 3")
    testbed.project.config["nodes"] |= {"on_interruption": "replace", "replacements": budget}
    return troubled(testbed, deploying, _repeated(testbed, times))


def _repeated(testbed: NodeTestbed, times: int) -> Callable[[Running], None]:
    def act(running: Running) -> None:
        testbed.interrupt()
        for _ in range(times - 1):
            running.until('"event":"node-created"')
            shipping(testbed, running)
            testbed.interrupt()

    return act
