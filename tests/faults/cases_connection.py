"""Connections cut under a cycle: the sshd processes killed, or the node's cable pulled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from spotdeploy.model import Verdict
from spotdeploy.node import paths
from tests.cycles.project import Done, Running
from tests.faults.case import Case, Family
from tests.faults.cycle_points import (
    Moment,
    booting,
    deploying,
    rebooting,
    troubled,
    uploading,
    verifying,
)
from tests.faults.local_testbed import LocalTestbed, local_case

PASSED, INFRASTRUCTURE = Verdict.PASSED, Verdict.INFRASTRUCTURE_FAILED
SHORT = 3.0
"""Seconds."""
BETWEEN = 1.0
"""Seconds from one cut to the next."""

_case = partial(local_case, Family.CONNECTION)


def cases() -> Iterator[Case]:
    """Every case."""
    yield _case("ssh cut during the upload", INFRASTRUCTURE, _cut_upload, quick=True, leaves=True)
    yield _case("ssh cut during the deploy", PASSED, _at(deploying, _once), quick=True)
    yield _case("ssh cut four times during the deploy", PASSED, _at(deploying, _often))
    yield _case("ssh cut at the reboot", PASSED, _at(rebooting, _once))
    yield _case("ssh cut during verify", PASSED, _at(verifying, _once))
    for name, moment in (
        ("boot", booting),
        ("the upload", uploading),
        ("the deploy", deploying),
        ("the reboot", rebooting),
        ("verify", verifying),
    ):
        yield _case(f"the link is down for 3 s during {name}", PASSED, _at(moment, _short))
    for name, moment in (
        ("boot", booting),
        ("the upload", uploading),
        ("the deploy", deploying),
        ("verify", verifying),
    ):
        yield _case(f"the link is down for ever from {name} on", INFRASTRUCTURE, _at(moment, _down))


def _at(
    moment: Moment, act: Callable[[LocalTestbed, Running], None]
) -> Callable[[LocalTestbed], Done]:
    """A cycle through all phases, each of which takes a while."""

    def action(testbed: LocalTestbed) -> Done:
        testbed.entry("sleep 4", reboot=moment is rebooting)
        testbed.check(stable_for="4s")
        testbed.project.config["timeouts"] |= {"deploy": "20s", "reboot": "30s"}
        if moment is uploading:
            testbed.upload_much()
        if act is _down:
            testbed.project.config["timeouts"] |= {"boot": "5s", "ship": "8s"}
        return troubled(testbed, moment, partial(act, testbed))

    return action


def _cut_upload(testbed: LocalTestbed) -> Done:
    """Half an upload must never become the payload."""
    testbed.upload_much()
    done = troubled(testbed, uploading, lambda _: testbed.cut_ssh(), "--keep", "always")
    assert not testbed.on_disk(paths.PAYLOAD).exists()
    assert not testbed.on_disk(paths.MANIFEST).exists()
    return done


def _once(testbed: LocalTestbed, running: Running) -> None:
    testbed.cut_ssh()


def _often(testbed: LocalTestbed, running: Running) -> None:
    for _ in range(4):
        testbed.cut_ssh()
        time.sleep(BETWEEN)


def _short(testbed: LocalTestbed, running: Running) -> None:
    testbed.link("down")
    time.sleep(SHORT)
    testbed.link("up")


def _down(testbed: LocalTestbed, running: Running) -> None:
    testbed.link("down")
