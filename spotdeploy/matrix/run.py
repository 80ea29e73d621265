"""The cells of a matrix side by side: each is a run of its own, and fails by itself.

matrix = Matrix.open("spotdeploy.toml")
outcome = await run_cells(matrix, "cycle")
print(outcome.verdict, [cell.name for cell in outcome.failed])
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.api import Project
from spotdeploy.cycle.budget import Budget
from spotdeploy.cycle.runbook import run_create, run_cycle, run_destroy, run_verify
from spotdeploy.errors import HostError, SpotdeployError
from spotdeploy.events import Bus, Event, Note, Observer, RunEnded, RunStarted
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.known import forget, remember
from spotdeploy.matrix.project import Matrix
from spotdeploy.matrix.report import Planned
from spotdeploy.matrix.writer import MatrixRecorder
from spotdeploy.model import Verdict
from spotdeploy.phases.before import UNTOUCHED, Bench, run_before
from spotdeploy.phases.plan import read_plans
from spotdeploy.report.writer import RunRecorder
from spotdeploy.run.cancellation import clear_cancellation
from spotdeploy.run.context import Plan, Run, digest_of
from spotdeploy.run.verdict import Outcome, worst
from spotdeploy.state.ids import new_run_id
from spotdeploy.state.journal import Journal
from spotdeploy.text import counted

BUG: Final = 70
FILES: Final = 65536
"""Open files that all cells together are let have, where the computer's limit allows it."""
MAKING: Final = ("cycle", "create")
"""Commands before which what `[before]` says must pass."""
ENDING: Final = ("cycle", "destroy")
"""Commands that also destroy the cells which the config has no more."""
Operation = Callable[[Run], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """How the run of one cell ended."""

    cell: Cell
    command: str
    verdict: Verdict
    exit_code: int
    message: str = ""
    outcome: Outcome | None = None
    """That of its run; None when it was refused or did not begin."""
    bug: Exception | None = None
    """What is none of our errors."""

    @property
    def name(self) -> str:
        """The cell's."""
        return self.cell.name

    @property
    def passed(self) -> bool:
        """True when its verdict is PASSED."""
        return self.verdict is Verdict.PASSED


@dataclass(frozen=True, slots=True)
class MatrixOutcome:
    """How the run of a matrix ended."""

    run: str
    deployment: str
    command: str
    cells: tuple[CellOutcome, ...]
    untouched: str = ""
    """Why no cell began, when it is the same for all."""

    @property
    def failed(self) -> tuple[CellOutcome, ...]:
        """The cells that did not pass."""
        return tuple(cell for cell in self.cells if not cell.passed)

    @property
    def exit_code(self) -> int:
        """That of the cell which outranks the others."""
        return worst(cell.exit_code for cell in self.cells)

    @property
    def verdict(self) -> Verdict:
        """That of the same cell."""
        code = self.exit_code
        return next((c.verdict for c in self.cells if c.exit_code == code), Verdict.PASSED)

    @property
    def message(self) -> str:
        """How many cells passed, and why the others did not."""
        if self.untouched:
            return self.untouched
        good, all_ = len(self.cells) - len(self.failed), counted(len(self.cells), "cell")
        head = f"{all_} passed" if not self.failed else f"{good} of {all_} passed"
        return "; ".join([head, *(f"{one.name}: {one.message}" for one in self.failed)])


async def run_cells(
    matrix: Matrix[Project],
    command: str,
    *,
    wait: bool = False,
    before: bool = True,
    observers: Sequence[Observer] = (),
    recorder: MatrixRecorder | None = None,
) -> MatrixOutcome:
    """Run a method of `api.Project` on every cell, `max_parallel` of them at the same time; none
    waits for another otherwise. Events say which cell they are of. `cycle` and `destroy` also
    destroy the cells that the config has no more. What `[before]` says passes once, before any cell
    begins, or with `before=False` is not run.

    Cancelling it ends each cell by policy. Raises SpotdeployError for what was refused before any
    cell began.
    """
    recorder = recorder or MatrixRecorder()
    first = next(iter(matrix.everything.values()))
    plans = read_plans(first) if matrix.cells and command != "destroy" else {}
    checks = [check for plan in plans.values() for check in plan.checks]
    secrets = [value for plan in plans.values() for value in plan.secrets.values()]
    redactor = first.hide_secrets(checks, secrets)
    run_id = new_run_id()
    planned = dict.fromkeys(matrix.cells, command)
    if command in ENDING:
        planned |= dict.fromkeys(matrix.former, "destroy")
    with recorder, closing(Journal(matrix.project.journal_path)) as journal:
        folder = matrix.project.runs / run_id
        recorder.begin(folder, [Planned(c.name, dict(c.values), how) for c, how in planned.items()])
        shared = _Shared(
            matrix,
            plans,
            folder,
            wait,
            Budget(matrix.project.config.max_cost),
            observers,
            Bus(recorder.log, redact=redactor.anything),
            Bus(*observers, redact=redactor.anything),
            asyncio.Semaphore(matrix.limits.max_parallel or len(planned)),
        )
        started = _started(matrix, run_id, command, plans)
        journal.begin_run(run_id, started.deployment, command, started.digest)
        shared.tell(started)
        _allow_files()
        bus = Bus(recorder.log, *observers, redact=redactor.anything)
        bench = Bench(first, plans, journal, bus, run_id, started.deployment)
        why = await _not_begun(bench, skip=not before) if command in MAKING else None
        cells = _untouched(shared, planned, why) if why else await _side_by_side(shared, planned)
        outcome = MatrixOutcome(
            run_id, matrix.project.deployment, command, cells, why.message if why else ""
        )
        _end(shared, journal, redactor.anything(outcome.message), outcome)
    return outcome


@dataclass(frozen=True)
class _Shared:
    """What all cells of a run share."""

    matrix: Matrix[Project]
    plans: Mapping[str, Plan]
    folder: Path
    wait: bool
    budget: Budget
    observers: Sequence[Observer]
    log: Bus
    """The file of the matrix's own events."""
    screen: Bus
    """The observers, for what no cell's own run tells them."""
    turns: asyncio.Semaphore

    def tell(self, event: Event) -> None:
        """An event of the matrix's own."""
        self.log.emit(event)
        self.screen.emit(event)


@dataclass(frozen=True, slots=True)
class _Tagged:
    """An observer of one cell: tells others whose event it is."""

    cell: Cell
    others: Sequence[Observer]

    def on(self, event: Event) -> None:
        """Hand it on."""
        tagged = msgspec.structs.replace(event, cell=self.cell.name)
        for other in self.others:
            other.on(tagged)


@dataclass(frozen=True, slots=True)
class _NotBegun:
    """Why no cell began."""

    verdict: Verdict
    exit_code: int
    message: str


async def _not_begun(bench: Bench, *, skip: bool) -> _NotBegun | None:
    """Run what must pass before any cell begins; None when it did."""
    try:
        message = await run_before(bench, skip=skip)
    except asyncio.CancelledError:
        clear_cancellation()
        stopped = Verdict.STOPPED
        return _NotBegun(stopped, stopped.exit_code, "stopped by the user; nothing was changed")
    except SpotdeployError as error:
        return _NotBegun(Verdict.REFUSED, error.exit_code, error.explained)
    failed = Verdict.TESTS_FAILED
    return _NotBegun(failed, failed.exit_code, f"{message}; {UNTOUCHED}") if message else None


def _untouched(
    shared: _Shared, planned: Mapping[Cell, str], why: _NotBegun
) -> tuple[CellOutcome, ...]:
    """The outcomes of cells of which none began, and an event for each."""
    for cell in planned:
        shared.tell(
            RunEnded(
                run="",
                verdict=why.verdict,
                exit_code=why.exit_code,
                detail=why.message,
                cell=cell.name,
            )
        )
    return tuple(
        CellOutcome(cell, command, why.verdict, why.exit_code, why.message)
        for cell, command in planned.items()
    )


async def _side_by_side(shared: _Shared, planned: Mapping[Cell, str]) -> tuple[CellOutcome, ...]:
    """Run all cells; a stop is handed to each once, and all are waited for. Where they take turns,
    it is first that of those that are only destroyed: they may cost money."""
    order = sorted(planned, key=lambda cell: planned[cell] != "destroy")
    tasks = {cell: asyncio.create_task(_one(shared, cell, planned[cell])) for cell in order}
    while pending := [task for task in tasks.values() if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            clear_cancellation()
            for task in pending:
                task.cancel()
    return tuple(tasks[cell].result() for cell in planned)


async def _one(shared: _Shared, cell: Cell, command: str) -> CellOutcome:
    """Run one cell in its turn, and say how it ended; raises nothing."""
    recorder = RunRecorder()
    try:
        async with shared.turns:
            outcome = await _run(shared, cell, command, recorder)
        ended = CellOutcome(
            cell, command, outcome.verdict, outcome.exit_code, outcome.message, outcome
        )
    except asyncio.CancelledError:
        clear_cancellation()
        stopped = Verdict.STOPPED
        ended = CellOutcome(
            cell, command, stopped, stopped.exit_code, "stopped by the user before its turn"
        )
    except SpotdeployError as error:
        ended = CellOutcome(cell, command, Verdict.REFUSED, error.exit_code, error.explained)
    except Exception as error:  # noqa: BLE001  # the other cells go on
        message = f"a bug: {type(error).__name__}: {error}"
        ended = CellOutcome(cell, command, Verdict.REFUSED, BUG, message, bug=error)
    _told(shared, ended, recorder)
    return ended


async def _run(shared: _Shared, cell: Cell, command: str, recorder: RunRecorder) -> Outcome:
    project = replace(shared.matrix.everything[cell], runs_folder=shared.folder)
    plans = {} if command == "destroy" else shared.plans
    operation = _operation(shared, cell, command)
    observers = (_Tagged(cell, shared.observers), shared.budget.ledger)
    return await project.record(command, operation, plans, observers, recorder)


def _operation(shared: _Shared, cell: Cell, command: str) -> Operation:
    """What a cell is to do, while its lock is held: what is made is remembered before, and what is
    proven gone is forgotten."""
    project, wait, budget = shared.matrix.project, shared.wait, shared.budget

    async def make(run: Run) -> Outcome:
        remember(project, cell, run.providers)
        work = run_cycle if command == "cycle" else run_create
        return await work(run, wait=wait, budget=budget)

    async def destroy(run: Run) -> Outcome:
        outcome = await run_destroy(run, wait=wait)
        if outcome.verdict is Verdict.PASSED:
            forget(project, cell.name, run.providers)
        return outcome

    return {"verify": run_verify, "destroy": destroy}.get(command, make)


def _told(shared: _Shared, ended: CellOutcome, recorder: RunRecorder) -> None:
    """Note how a cell ended; who has not had it from its own run is told as well."""
    name = ended.cell.name
    event = RunEnded(
        run=recorder.folder.name if recorder.folder else "",
        verdict=ended.verdict,
        exit_code=ended.exit_code,
        detail=ended.message,
        cell=name,
    )
    shared.log.emit(event)
    if recorder.folder is None:
        shared.screen.emit(event)
    if ended.verdict is Verdict.REFUSED:
        shared.screen.emit(Note(text=ended.message, warning=True, cell=name))
    for problem in recorder.problems:
        shared.tell(Note(text=f"{name}: {problem}", warning=True))


def _started(
    matrix: Matrix[Project], run_id: str, command: str, plans: Mapping[str, Plan]
) -> RunStarted:
    names = (check.name for plan in plans.values() for check in plan.checks)
    return RunStarted(
        run=run_id,
        command=command,
        deployment=matrix.project.deployment,
        providers=matrix.providers,
        digest=digest_of(plans.values() or [Plan()]),
        desired=0,  # each cell says how many it wants
        checks=tuple(dict.fromkeys(names)),
    )


def _end(shared: _Shared, journal: Journal, message: str, outcome: MatrixOutcome) -> None:
    """Note how the run ended. A journal that cannot be written does not change it."""
    try:
        journal.end_run(outcome.run, outcome.verdict, outcome.exit_code)
    except HostError as error:
        shared.tell(Note(text=error.message, warning=True))
    shared.tell(
        RunEnded(
            run=outcome.run, verdict=outcome.verdict, exit_code=outcome.exit_code, detail=message
        )
    )


def _allow_files() -> None:
    """Raise the soft limit on open files for all cells: each only looks after its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
