"""What cases of the clouds' labs do: a command, and trouble at one of its calls."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

from tests.cycles.project import Done
from tests.faults.lab_testbed import LabTestbed
from tests.labs.fault_queue import ANY

Trouble = Callable[[LabTestbed], object]
Action = Callable[[LabTestbed], Done]
LONG_BOOT = "8s"


def cycle(*troubles: Trouble) -> Action:
    """A cycle with this trouble."""

    def action(testbed: LabTestbed) -> Done:
        for trouble in troubles:
            trouble(testbed)
        return testbed.project.cycle()

    return action


def destroy(*troubles: Trouble) -> Action:
    """A destroy with this trouble, of nodes that a cycle kept."""

    def action(testbed: LabTestbed) -> Done:
        keep(testbed)
        for trouble in troubles:
            trouble(testbed)
        testbed.project.write()
        return testbed.project.run("destroy")

    return action


def keep(testbed: LabTestbed) -> None:
    """Have nodes that a cycle made and kept."""
    done = testbed.project.cycle("--keep", "always")
    assert done.code == testbed.healthy.exit_code, done
    assert testbed.machines(), done


def signalled(
    call: str, *signals: signal.Signals, command: str = "cycle", nth: int = 1, lose: str = ""
) -> Action:
    """A command that gets signals when the `nth` call of that name comes to the cloud. The call
    then takes effect, unless the "request" is to be lost."""

    def action(testbed: LabTestbed) -> Done:
        if command == "destroy":
            keep(testbed)
        with ExitStack() as stack:
            seen = 0
            pids: list[int] = []

            def hit(one: object) -> bool:
                nonlocal seen
                seen += testbed.named(one) == call
                if seen != nth or testbed.named(one) != call:
                    return False
                for number in signals:
                    os.kill(pids[0], number)
                return bool(lose)

            testbed.fault(ANY, 1, lose=lose or "request", when=hit)
            running = stack.enter_context(testbed.project.started(command))
            pids.append(running.pid)
            return running.end()

    return action


def impatient(testbed: LabTestbed) -> None:
    """Let a destroy that cannot succeed end soon."""
    testbed.project.config["timeouts"]["destroy"] = "3s"


def long_boot(testbed: LabTestbed) -> None:
    """Let there be time in which something happens to nodes that boot."""
    testbed.project.config["timeouts"]["boot"] = LONG_BOOT
