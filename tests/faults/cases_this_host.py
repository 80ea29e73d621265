"""Trouble with this computer, and with time, while real machines run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGINT

from spotdeploy.model import Verdict
from tests.command import COMMAND
from tests.cycles.project import Done, Running
from tests.faults.case import REFUSED, Case, Family
from tests.faults.cycle_points import (
    Moment,
    booting,
    collecting,
    deploying,
    destroying,
    troubled,
    uploading,
    verifying,
)
from tests.faults.launcher import How, Step, launcher
from tests.faults.local_testbed import LocalTestbed, local_case

INFRASTRUCTURE = Verdict.INFRASTRUCTURE_FAILED
FILLER = "filler"

_case = partial(local_case, Family.HOST)


def cases() -> Iterator[Case]:
    """Every case."""
    for name, moment, expect in (
        ("during boot", booting, INFRASTRUCTURE),
        ("during the upload", uploading, Verdict.PASSED),
        ("during the deploy", deploying, Verdict.PASSED),
        ("during verify", verifying, Verdict.PASSED),
        ("during evidence", collecting, Verdict.PAYLOAD_FAILED),
        ("during the destroy", destroying, Verdict.PASSED),
    ):
        yield _case(
            f"the disk under the journal is full {name}",
            expect,
            partial(_full, moment=moment),
            quick=moment is deploying,
        )
    yield _case("the disk under the journal is full before create", REFUSED, _full_before_create)
    yield _case("the screen is a full disk", Verdict.PASSED, _full_screen)
    yield _case("the time to live of a minute ends during the deploy", INFRASTRUCTURE, _expired)
    yield _case("a second cycle at the same time", REFUSED, _second)


def _full(testbed: LocalTestbed, *, moment: Moment) -> Done:
    """Nothing may be left, journal or not: labels are enough."""
    state = testbed.project.folder / ".spotdeploy"
    testbed.small(state, "2m")
    testbed.entry("exit 1" if moment is collecting else "sleep 2")
    testbed.check(stable_for="2s")
    if moment is uploading:
        testbed.upload_much()
    done = troubled(testbed, moment, partial(_fill, state))
    assert not testbed.engine.machines(), done
    (state / FILLER).unlink()
    return done


def _full_before_create(testbed: LocalTestbed) -> Done:
    state = testbed.project.folder / ".spotdeploy"
    testbed.small(state, "2m")
    testbed.project.write()
    how = How(fill_at=Step("record_intent", 1, "before"), disk=str(state / FILLER))
    done = testbed.project.run("cycle", command=launcher(how))
    assert not testbed.engine.machines(), done
    (state / FILLER).unlink()
    return done


def _fill(folder: Path, running: Running) -> None:
    with suppress(OSError), (folder / FILLER).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def _full_screen(testbed: LocalTestbed) -> Done:
    return testbed.project.run(
        "cycle", command=("sh", "-c", 'exec "$@" > /dev/full', "sh", *COMMAND)
    )


def _expired(testbed: LocalTestbed) -> Done:
    testbed.project.config["nodes"]["time_to_live"] = "1m"
    testbed.entry("sleep 90")
    done = testbed.project.cycle()
    assert "time to live" in done.out, done
    return done


def _second(testbed: LocalTestbed) -> Done:
    testbed.entry("sleep 60")
    with testbed.project.started("cycle", "--events", "-") as running:
        deploying(testbed, running)
        second = testbed.project.run("cycle")
        os.kill(running.pid, SIGINT)
        running.end()
    assert f"(pid {running.pid} on " in second.err, second
    return second
