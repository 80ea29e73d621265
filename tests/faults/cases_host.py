"""Faults of the computer that runs spotdeploy, and users who stop it; the cloud is the fake one.

A disk that is full, or read-only, before anything is made is refused. One that fills up once nodes
were made must neither keep them alive nor hide that something may be left: the nodes end, and the
infrastructure failed, or it is a leak.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.model import Verdict
from spotdeploy.testing.fake import faults
from tests.cycles.project import Done
from tests.faults.case import REFUSED, Case, Family
from tests.faults.cases_fake import keep, opened
from tests.faults.launcher import How, Step, fill, launcher
from tests.faults.testbed import FakeTestbed

INFRASTRUCTURE, PASSED, STOPPED = (
    Verdict.INFRASTRUCTURE_FAILED,
    Verdict.PASSED,
    Verdict.STOPPED,
)
DISK_SIZE = "2m"
Action = Callable[[FakeTestbed], Done]
BEGINS = {
    "create": "Creating",
    "nodes": "2 of 2 nodes",
    "destroy": ": infrastructure failed",
}
"""Call to what is printed shortly before it."""


class DiskTestbed(FakeTestbed):
    """The state folder is on a small disk of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = self.project.folder / ".spotdeploy"
        self.ballast = self.state / "ballast"

    def __enter__(self) -> DiskTestbed:
        self.state.mkdir(parents=True)
        size = f"size={DISK_SIZE}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", self.state], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.state], check=True)

    def remount(self, how: str) -> None:
        """Make the disk `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.state], check=True)

    def heal(self) -> None:
        """See `Testbed`."""
        super().heal()
        self.remount("rw")
        self.ballast.unlink(missing_ok=True)


def open_disk(folder: Path, request: pytest.FixtureRequest) -> DiskTestbed:
    """A testbed with a disk of its own."""
    return DiskTestbed(folder)


def cases() -> Iterator[Case]:
    """Every case."""
    yield from _disks()
    yield from _journals()
    yield from _locks()
    yield from _stopped()


def _disks() -> Iterator[Case]:
    def disk(fault: str, expect: Verdict | str, action: object, **more: bool) -> Case:
        return Case(Family.HOST, "fake", fault, expect, open_disk, action, **more)  # type: ignore[arg-type]  # a action in this testbed

    yield disk("the disk is full from the start", REFUSED, _full)
    yield disk("the disk is read-only", REFUSED, _read_only)
    steps = [
        ("begin_run", 1, REFUSED),
        ("seen", 1, REFUSED),
        ("record_intent", 1, REFUSED),
        ("resolve_intent", 1, INFRASTRUCTURE),
        ("seen", 3, INFRASTRUCTURE),
        ("gone", 1, INFRASTRUCTURE),
        ("close_intents", 2, INFRASTRUCTURE),
        ("end_run", 1, INFRASTRUCTURE),
    ]
    for method, nth, expect in steps:
        fault = f"the disk fills up before step {method} no. {nth}"
        quick = method == "resolve_intent"
        yield disk(fault, expect, _filled(method, nth), quick=quick)
    yield disk("the disk is full when nodes are destroyed", REFUSED, _full_for_destroy, leaves=True)
    fault = "the disk fills up while nodes are destroyed"
    yield disk(fault, PASSED, _filled("gone", 1, "destroy"))


def _full(testbed: DiskTestbed) -> Done:
    fill(testbed.ballast)
    return testbed.project.cycle()


def _read_only(testbed: DiskTestbed) -> Done:
    testbed.project.write()
    testbed.remount("ro")
    return testbed.project.run("cycle")


def _full_for_destroy(testbed: DiskTestbed) -> Done:
    keep(testbed)
    fill(testbed.ballast)
    return testbed.project.run("destroy")


def _filled(method: str, nth: int, command: str = "cycle") -> Callable[[DiskTestbed], Done]:
    def action(testbed: DiskTestbed) -> Done:
        if command == "destroy":
            keep(testbed)
        how = replace(How(), fill_at=Step(method, nth, "before"), disk=str(testbed.ballast))
        return testbed.project.run(command, command=launcher(how))

    return action


def _journals() -> Iterator[Case]:
    def journal(fault: str, expect: Verdict | str, hurt: Callable[[Path], object]) -> Case:
        def action(testbed: FakeTestbed) -> Done:
            keep(testbed)
            hurt(testbed.project.folder / ".spotdeploy")
            return testbed.project.run("destroy")

        refused = expect == REFUSED
        return Case(
            Family.HOST,
            "fake",
            fault,
            expect,
            _mended if refused else opened,
            action,
            leaves=refused,
            quick=hurt is shutil.rmtree,
        )

    yield journal("the state folder is lost before destroy", PASSED, shutil.rmtree)
    yield journal("the journal is lost before destroy", PASSED, _remove_journal)
    yield journal(
        "the journal is not a database",
        REFUSED,
        lambda state: (state / "journal.db").write_bytes(b"no" * 4096),
    )
    yield journal("the journal is cut short", REFUSED, _cut)
    yield journal("the journal is empty", PASSED, _empty)


def _remove_journal(state: Path) -> None:
    for file in state.glob("journal.db*"):
        file.unlink()


def _cut(state: Path) -> None:
    journal = state / "journal.db"
    for file in state.glob("journal.db-*"):
        file.unlink()
    journal.write_bytes(journal.read_bytes()[:5000])


def _empty(state: Path) -> None:
    _remove_journal(state)
    (state / "journal.db").touch()


class MendedTestbed(FakeTestbed):
    """Its user does what the refusal says before going on."""

    def heal(self) -> None:
        """See `Testbed`."""
        super().heal()
        journal = self.project.folder / ".spotdeploy/journal.db"
        journal.rename(f"{journal}.damaged")


def _mended(folder: Path, request: pytest.FixtureRequest) -> MendedTestbed:
    return MendedTestbed(folder)


def _locks() -> Iterator[Case]:
    for command in ("cycle", "destroy", "create"):
        yield Case(
            Family.HOST,
            "fake",
            f"{command} while a cycle is under way",
            REFUSED,
            opened,
            _held(command),
            leaves=True,
            quick=command == "destroy",
        )


def _held(command: str) -> Action:
    def action(testbed: FakeTestbed) -> Done:
        testbed.cloud.script(faults.SlowCall(call="create", seconds=60.0))
        with testbed.project.started("cycle") as running:
            running.until("Creating")
            done = testbed.project.run(command)
            running.send(signal.SIGKILL)
            running.end()
        if f"pid {running.pid} on " not in done.err:
            return Done(99, done.out, f"the holder is not named: {done.err}")
        return done

    return action


def _stopped() -> Iterator[Case]:
    family = Family.STOPPED
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for call, at, words in (
            ("create", 1, "while nodes are being made"),
            ("nodes", 4, "while nodes boot"),
            ("destroy", 1, "while nodes are being ended"),
        ):
            slow = faults.SlowCall(call=call, at=at, seconds=1.5)  # type: ignore[arg-type]  # one of the calls
            yield Case(
                family,
                "fake",
                f"{number.name} {words}",
                STOPPED,
                opened,
                _signalled(slow, number),
            )
    slow = faults.SlowCall(call="create", seconds=3.0)
    yield Case(
        family,
        "fake",
        "Ctrl-C twice while nodes are being made",
        STOPPED,
        opened,
        _signalled(slow, signal.SIGINT, signal.SIGINT),
        leaves=True,
        quick=True,
    )
    slow = faults.SlowCall(call="destroy", seconds=3.0)
    yield Case(
        family,
        "fake",
        "Ctrl-C twice while nodes are being ended",
        STOPPED,
        opened,
        _signalled(slow, signal.SIGINT, signal.SIGINT),
        leaves=True,
    )


def _signalled(slow: faults.SlowCall, *signals: signal.Signals) -> Action:
    """A cycle that gets signals while a call takes its time."""

    def action(testbed: FakeTestbed) -> Done:
        testbed.cloud.script(slow)
        if slow.call == "nodes":
            testbed.project.config["timeouts"]["boot"] = "6s"
        with testbed.project.started("cycle") as running:
            running.until(BEGINS[slow.call])
            running.send(signals[0])
            for number in signals[1:]:
                running.until("Stopping: ")
                running.send(number)
            return running.end()

    return action
