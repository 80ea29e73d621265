"""Cycles of real machines stopped by signals, and killed, at each phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals

from spotdeploy.model import Verdict
from tests.cycles.project import Done
from tests.faults.case import Case, Family
from tests.faults.cycle_points import (
    Moment,
    booting,
    collecting,
    creating,
    deploying,
    destroying,
    rebooting,
    sending,
    troubled,
    uploading,
    verifying,
)
from tests.faults.local_testbed import local_case
from tests.faults.node_testbed import NodeTestbed

STOPPED = Verdict.STOPPED
PHASES: Mapping[str, Moment] = {
    "create": creating,
    "boot": booting,
    "the upload": uploading,
    "the deploy": deploying,
    "the reboot": rebooting,
    "verify": verifying,
    "evidence": collecting,
    "the destroy": destroying,
}
CLEARED_BY_CYCLE = ("boot", "the deploy", "evidence")


def cases() -> Iterator[Case]:
    """Every case."""
    for name, moment in PHASES.items():
        then = "cycle" if name in CLEARED_BY_CYCLE else "destroy"
        yield local_case(
            Family.KILLED,
            f"kill -9 during {name}, machines running",
            None,
            partial(_play, moment=moment, signals=[SIGKILL]),
            then=then,
            quick=name == "the deploy",
        )
    for name, moment in PHASES.items():
        yield local_case(
            Family.STOPPED,
            f"Ctrl-C during {name}",
            STOPPED,
            partial(_play, moment=moment, signals=[SIGINT], left=0),
            quick=name == "boot",
        )
    for number in (SIGTERM, SIGHUP):
        yield local_case(
            Family.STOPPED,
            f"{number.name} during the deploy",
            STOPPED,
            partial(_play, moment=deploying, signals=[number], left=0),
        )
    for name in ("boot", "the deploy", "the destroy"):
        yield local_case(
            Family.STOPPED,
            f"Ctrl-C and SIGTERM at once during {name}",
            STOPPED,
            partial(_play, moment=PHASES[name], signals=[SIGINT, SIGTERM], left=0),
        )
    for keep, left in (("always", 1), ("passing", 0)):
        yield local_case(
            Family.STOPPED,
            f"Ctrl-C during the deploy, keep = {keep}",
            STOPPED,
            partial(_play, moment=deploying, signals=[SIGINT], keep=keep, left=left),
            leaves=bool(left),
        )


def _play(
    testbed: NodeTestbed,
    *,
    moment: Moment,
    signals: Sequence[Signals],
    keep: str = "never",
    left: int | None = None,
) -> Done:
    """`left` is how many machines may be there when the command has ended."""
    ends = "sleep 60" if moment is deploying else "exit 1" if moment is collecting else "true"
    testbed.entry(ends, reboot=moment is rebooting)
    if moment is uploading:
        testbed.upload_much()
    if moment is verifying:
        testbed.check(stable_for="60s")
    done = troubled(testbed, moment, sending(*signals), "--keep", keep)
    assert left is None or len(testbed.engine.machines()) == left, done
    return done
