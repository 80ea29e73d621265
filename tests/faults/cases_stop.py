"""Cycles on the fake cloud, stopped as CI runners, shells and terminals stop them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from spotdeploy.model import Verdict
from spotdeploy.testing.fake.faults import AnyFault, SlowCall, SlowGoing
from tests.cycles.project import Done
from tests.faults.case import Case, Family
from tests.faults.testbed import FakeTestbed

STOPPED = Verdict.STOPPED
AT_ONCE = "stopped at once"
SOON = 9.0
"""Seconds after the first signal within which all must be over: GitHub's runners kill after ten."""
MOMENTS: Mapping[str, tuple[str, Sequence[AnyFault]]] = {
    "the listing": ('"step":"destroy"', [SlowCall(call="nodes", seconds=1.5)]),
    "create": (
        '"step":"create"',
        # so that there is something to wait for after the first signal, too
        [SlowCall(call="create", seconds=1.5), SlowCall(call="nodes", at=3, seconds=1.5)],
    ),
    "boot": ('"phase":"boot"', []),
    "the destroy": ('"event":"node-ended"', [SlowGoing(seconds=2.5, times=0)]),
}
"""A name to the event that it begins with, and what makes it long enough to be met."""


@dataclass(frozen=True)
class Then:
    """A signal, so many seconds after the one before."""

    number: Signals
    after: float = 0.0


RUNNERS: Mapping[str, Sequence[Then]] = {
    "SIGINT": (Then(SIGINT),),
    "SIGTERM": (Then(SIGTERM),),
    "SIGHUP": (Then(SIGHUP),),
    "SIGINT, then SIGTERM": (Then(SIGINT), Then(SIGTERM, 0.3)),
    "SIGTERM, then SIGINT": (Then(SIGTERM), Then(SIGINT, 0.3)),
    "SIGHUP, then SIGTERM": (Then(SIGHUP), Then(SIGTERM, 0.3)),
    "SIGTERM three times": (Then(SIGTERM), Then(SIGTERM, 0.2), Then(SIGTERM, 0.2)),
    "SIGINT and SIGTERM at once": (Then(SIGINT), Then(SIGTERM)),
}


def opened(folder: Path, request: pytest.FixtureRequest) -> FakeTestbed:
    """A testbed for one case."""
    return FakeTestbed(folder)


def cases() -> Iterator[Case]:
    """Every case."""
    for moment in MOMENTS:
        for name, signals in RUNNERS.items():
            quick = (moment, name) in (
                ("boot", "SIGINT, then SIGTERM"),
                ("the destroy", "SIGTERM three times"),
            )
            yield _case(f"{name}, during {moment}", signals, moment, quick=quick)
    twice = (Then(SIGINT), Then(SIGINT, 0.3))
    for moment in ("create", "the destroy"):
        yield _case(f"Ctrl-C twice, during {moment}", twice, moment, at_once=True)
    yield Case(
        Family.STOP,
        "fake",
        "a runner's step with exec: SIGINT, 7.5 s later SIGTERM, then SIGKILL",
        STOPPED,
        opened,
        _step,
        quick=True,
    )
    for name, words in CLOSED.items():
        yield Case(
            Family.STOP,
            "fake",
            f"a cycle whose output is {name}",
            Verdict.INFRASTRUCTURE_FAILED,
            opened,
            partial(_in_shell, words=words),
            quick=name == "read by head",
        )


CLOSED: Mapping[str, str] = {
    "read by head": "{} 2>err | head -n 1",
    "read by nobody": "{} 2>&1 | true",
    "closed": "{} >&- 2>err",
    "closed with all streams": "{} <&- >&- 2>&-",
}


def _case(
    fault: str,
    signals: Sequence[Then],
    moment: str,
    *,
    at_once: bool = False,
    quick: bool = False,
) -> Case:
    action = partial(_play, signals=signals, moment=moment, at_once=at_once)
    return Case(Family.STOP, "fake", fault, STOPPED, opened, action, quick=quick, leaves=at_once)


def _play(testbed: FakeTestbed, *, signals: Sequence[Then], moment: str, at_once: bool) -> Done:
    awaited, script = MOMENTS[moment]
    testbed.cloud.script(*script)
    testbed.project.config["timeouts"]["boot"] = "1s" if moment == "the destroy" else "60s"
    with testbed.project.started("cycle", "--events", "-") as running:
        running.until(awaited)
        began = time.monotonic()
        for one in signals:
            time.sleep(one.after)
            running.send(one.number)
        done = running.end()
    assert time.monotonic() - began < SOON, done
    assert (AT_ONCE in done.err) is at_once, done
    return done


def _step(testbed: FakeTestbed) -> Done:
    """What ends late is still there when SIGTERM comes, and over before SIGKILL."""
    testbed.cloud.script(SlowGoing(seconds=7.0, times=0))
    testbed.project.config["timeouts"]["boot"] = "60s"
    testbed.project.write()
    script = testbed.project.folder / "step.sh"
    words = " ".join(testbed.project.command)
    script.write_text(f"exec {words} cycle --events -\n")
    step = subprocess.Popen(
        ["bash", "-e", str(script)],
        cwd=testbed.project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = "", ""
    try:
        assert step.stdout is not None
        while '"phase":"boot"' not in out:
            out += step.stdout.readline()
        for number, pause in ((SIGINT, 7.5), (SIGTERM, 2.5)):
            os.kill(step.pid, number)
            try:
                rest, err = step.communicate(timeout=pause)
                break
            except subprocess.TimeoutExpired:
                rest = ""
    finally:
        if step.poll() is None:
            step.kill()
            step.communicate()
    return Done(step.returncode, out + rest, err)


def _in_shell(testbed: FakeTestbed, *, words: str) -> Done:
    """A cycle in a shell, with the exit code of the first in the pipe."""
    testbed.project.write()
    command = words.format(" ".join([*testbed.project.command, "cycle"]))
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        cwd=testbed.project.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    errors = testbed.project.folder / "err"
    told = errors.read_text() if errors.exists() else ""
    assert "GitHub" not in told, told
    return Done(done.returncode, done.stdout, done.stderr + told)
