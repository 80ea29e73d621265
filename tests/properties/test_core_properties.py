"""Whatever the cloud does: what is left is known, and what is said to be gone is gone."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.cycle import runbook
from spotdeploy.errors import PayloadError, SpotdeployError, UnreachableError
from spotdeploy.model import Phase, Verdict
from spotdeploy.phases.destroy import PROOFS, destroy
from spotdeploy.run.context import Run
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.verdict import Outcome, Receipt
from spotdeploy.testing.fake import faults
from spotdeploy.testing.fake.faults import AnyFault
from tests.properties.effort import FEW, MANY
from tests.properties.world_of_faults import SCRIPTS, KilledError, World

STEPS = st.tuples(st.sampled_from([0.0, 3.0, 40.0]), st.sampled_from(["pass", "fail", "lose"]))
WORLDS = st.fixed_dictionaries(
    {
        "count": st.integers(1, 4),
        "locations": st.sampled_from([("here",), ("here", "there")]),
        "keep": st.sampled_from(["never", "passing", "always"]),
        "quorum": st.sampled_from([None, 1]),
        "replace": st.booleans(),
        "groups": st.booleans(),
    }
)


@pytest.fixture(autouse=True)
def _journey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runbook, "_through_verify", _go)


STORY: list[tuple[float, str]] = []
"""How the nodes' journeys go in the present example, one after the other."""


async def _go(node_run: NodeRun, watch: Liveness) -> None:
    """What the machines do, in place of machines."""
    del watch
    seconds, end = STORY.pop(0) if STORY else (0.0, "pass")
    async with node_run.in_phase(Phase.DEPLOY, 30.0):
        await asyncio.sleep(seconds)
        if end == "fail":
            raise PayloadError(f"{node_run.node.name}: exit 7", phase="deploy")
        if end == "lose":
            raise UnreachableError(f"{node_run.node.name}: cut", phase="deploy")


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """Makes a fresh folder for each example, in memory where there is one."""
    memory = Path("/dev/shm")  # only a parent
    root = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    numbers = iter(range(10**9))

    def make() -> Path:
        folder = root / str(next(numbers))
        folder.mkdir()
        return folder

    yield make
    shutil.rmtree(root)


def whole_cycle(stop_after: float | None) -> Callable[[Run], Awaitable[Any]]:
    async def work(run: Run) -> Outcome:
        task = asyncio.ensure_future(runbook.run_cycle(run))
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            raise StoppedError from None

    return work


class StoppedError(Exception):
    """The user stopped it before anything was made."""


def is_told(ending: object) -> None:
    """Whatever happens ends in an outcome, a receipt, or an error in one line: never a bug."""
    known = (Outcome, Receipt, SpotdeployError, KilledError, StoppedError)
    if isinstance(ending, BaseException) and not isinstance(ending, known):
        raise ending
    assert isinstance(ending, known)


def is_a_proof(receipt: Receipt) -> None:
    """Each destroyed node is proven gone once, after it was last seen."""
    ids = [node.id for node in receipt.destroyed]
    assert sorted(ids) == sorted(set(ids)) == sorted(proof.id for proof in receipt.proofs)
    for proof in receipt.proofs:
        assert proof.made_at <= proof.seen_at <= proof.gone_at
    assert receipt.listings >= PROOFS or not receipt.clean


def is_true(world: World, ending: object) -> None:
    """What is said about what is left is what the cloud says."""
    if isinstance(ending, Receipt) and ending.clean:
        assert world.billed() == []
    if isinstance(ending, Receipt) and not ending.clean:
        assert all("by hand" in what or "whatever is in" in what for what in ending.left)
    receipts = ending.receipts if isinstance(ending, Outcome) else [ending]
    for receipt in receipts:
        if isinstance(receipt, Receipt):
            is_a_proof(receipt)
    if not isinstance(ending, Outcome) or ending.verdict is Verdict.LEAKED:
        return
    assert all(receipt.clean for receipt in ending.receipts)
    if world.keep == "never":
        assert world.billed() == []
    if ending.verdict is Verdict.PASSED:
        healthy = [one for one in ending.nodes if one.verdict is Verdict.PASSED]
        assert len(healthy) >= (world.quorum or world.count)


def lose_journal(world: World) -> None:
    """Losing it loses history, never a machine, even while listings still lag behind."""
    shutil.rmtree(world.folder, ignore_errors=True)


PLAIN = {
    "count": 2,
    "locations": ("here",),
    "keep": "never",
    "quorum": None,
    "replace": False,
    "groups": False,
}


def once(*script: AnyFault, forget: str = "", **changes: Any) -> Callable[[Any], Any]:
    """An example that went wrong once, or nearly."""
    return example(options=PLAIN | changes, script=script, story=[], stop_after=None, forget=forget)


@MANY
@once(faults.Throttled(call="leftovers", times=0))
@once(faults.Outage(call="leftovers", times=2))
@once(faults.Outage(call="leftovers", times=0), keep="always")
@once(faults.Blink(at=3, nodes=3), faults.Crash(call="release", at=9))
@once(faults.LateCreate(seconds=19.0), faults.Crash(call="create"))
@once(faults.LateCreate(seconds=19.0, times=3), faults.Crash(call="create", at=4))
@once(faults.SlowCall(call="create", seconds=90.0), faults.LateCreate(seconds=19.0, times=0))
@once(faults.Unlisted(seconds=19.0, times=0), faults.Crash(call="create"))
@once(faults.Unlisted(seconds=19.0, times=0), faults.Crash(call="create"), forget="early")
@once(faults.LateCreate(seconds=19.0, times=0), faults.Crash(call="create"), forget="early")
@once(
    faults.Unlisted(seconds=19.0, times=0),
    faults.UnlistedGroup(seconds=19.0, times=0),
    faults.Crash(call="create"),
    forget="early",
    groups=True,
)
@once(faults.Blink(at=5, nodes=3), keep="always", forget="early")
@once(faults.Blink(at=4, nodes=3), keep="always", forget="early")
@once(faults.Blink(at=3, nodes=3), keep="always", forget="early")
@once(faults.Blink(at=2, nodes=3), keep="always", forget="early")
@once(faults.Crash(call="destroy", at=1), faults.OrphanDisk(times=0), keep="always")
@given(
    options=WORLDS,
    script=SCRIPTS,
    story=st.lists(STEPS, max_size=5),
    stop_after=st.none() | st.sampled_from([0.1, 5.0, 25.0, 60.0]),
    forget=st.sampled_from(["", "early", "late"]),
)
def test_whatever_goes_wrong_nothing_is_said_to_be_gone_that_is_billed_and_destroy_leaves_zero(
    folders: Callable[[], Path],
    options: dict[str, Any],
    script: Sequence[AnyFault],
    story: list[tuple[float, str]],
    stop_after: float | None,
    forget: str,
) -> None:
    STORY[:] = story
    world = World(folders(), **options)
    world.cloud.script(*script)
    for work in (whole_cycle(stop_after), destroy, destroy):
        ending = world.run(work)
        is_told(ending)
        is_true(world, ending)
        if forget == "early":
            lose_journal(world)
    world.cloud.heal()
    if forget:
        lose_journal(world)
    ending = world.run(destroy)
    assert isinstance(ending, Receipt), ending
    assert ending.clean, ending.left
    assert world.billed() == []
    assert world.bystanders() == 1, "what is not of this deployment was touched"


BUGS = st.lists(
    st.builds(
        faults.Bug,
        at=st.integers(1, 4),
        times=st.integers(1, 3),
        call=st.sampled_from(["destroy", "leftovers", "release"]),
    ),
    min_size=1,
    max_size=3,
)


@FEW
@given(options=WORLDS, bugs=BUGS, script=SCRIPTS)
def test_a_call_that_breaks_off_in_a_destroy_never_breaks_off_the_cycle(
    folders: Callable[[], Path],
    options: dict[str, Any],
    bugs: Sequence[AnyFault],
    script: Sequence[AnyFault],
) -> None:
    STORY.clear()
    world = World(folders(), **options)
    world.cloud.script(*bugs, *script)
    for work in (whole_cycle(None), destroy):
        ending = world.run(work)
        is_told(ending)
        is_true(world, ending)
