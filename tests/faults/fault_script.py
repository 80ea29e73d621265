"""What cases of the clouds' labs do: a command, and trouble at one of its calls."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

from tests.cycles.project import Done
from tests.faults.lab_testbed import CloudArena

Trouble = Callable[[CloudArena], object]
Play = Callable[[CloudArena], Done]
LONG_BOOT = "8s"


def cycle(*troubles: Trouble) -> Play:
    """A cycle with this trouble."""

    def play(arena: CloudArena) -> Done:
        for trouble in troubles:
            trouble(arena)
        return arena.project.cycle()

    return play


def destroy(*troubles: Trouble) -> Play:
    """A destroy with this trouble, of nodes that a cycle kept."""

    def play(arena: CloudArena) -> Done:
        keep(arena)
        for trouble in troubles:
            trouble(arena)
        arena.project.write()
        return arena.project.run("destroy")

    return play


def keep(arena: CloudArena) -> None:
    """Have nodes that a cycle made and kept."""
    done = arena.project.cycle("--keep", "always")
    assert done.code == arena.healthy.exit_code, done
    assert arena.machines(), done


def signalled(
    call: str, *signals: signal.Signals, command: str = "cycle", nth: int = 1, lose: str = ""
) -> Play:
    """A command that gets signals when the `nth` call of that name comes to the cloud. The call
    then takes effect, unless the "request" is to be lost."""

    def play(arena: CloudArena) -> Done:
        if command == "destroy":
            keep(arena)
        with ExitStack() as stack:
            seen = 0
            pids: list[int] = []

            def hit(one: object) -> bool:
                nonlocal seen
                seen += arena.named(one) == call
                if seen != nth or arena.named(one) != call:
                    return False
                for number in signals:
                    os.kill(pids[0], number)
                return bool(lose)

            arena.fault(arena.any, 1, lose=lose or "request", when=hit)
            running = stack.enter_context(arena.project.started(command))
            pids.append(running.pid)
            return running.end()

    return play


def impatient(arena: CloudArena) -> None:
    """Let a destroy that cannot succeed end soon."""
    arena.project.config["timeouts"]["destroy"] = "3s"


def long_boot(arena: CloudArena) -> None:
    """Let there be time in which something happens to nodes that boot."""
    arena.project.config["timeouts"]["boot"] = LONG_BOOT
