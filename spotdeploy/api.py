"""The way in for Python programs: open a project, run a cycle, get the outcome.

    project = Project.open("spotdeploy.toml", providers=["local"])
    outcome = await project.cycle()
    if outcome.verdict is Verdict.PASSED:
        async with project.connect("demo-1") as connection:
            print((await connection.run(["uptime"])).stdout)
    await project.destroy()

The command line is a user of this module like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from spotdeploy.check import Connection
from spotdeploy.cycle.runbook import run_create, run_cycle, run_destroy, run_verify
from spotdeploy.errors import HostError, RefusedError, SpotdeployError
from spotdeploy.events import Bus, GroupPlan, Note, Observer, RunEnded, RunStarted
from spotdeploy.model import Verdict
from spotdeploy.node.access import find
from spotdeploy.phases.before import UNTOUCHED, Bench, run_before
from spotdeploy.phases.plan import read_plans
from spotdeploy.project import Project as _Project
from spotdeploy.report.writer import RunRecorder
from spotdeploy.run.context import Plan, Run, open_run
from spotdeploy.run.trace import loop_traced
from spotdeploy.run.verdict import Outcome
from spotdeploy.state.lock import locked

__all__ = ["Outcome", "Project", "RunRecorder", "Verdict"]

Operation = Callable[[Run], Awaitable[Outcome]]


class Project(_Project):
    """A project and what can be done with it. `Project.open(path)` makes one.

    Each method is one run: it holds the deployment's lock, is recorded in the journal, and leaves
    its events, evidence and reports in the run's folder. `observers` are given every event as it
    comes; a `recorder` that is handed in can be asked for the run's folder afterwards. With `wait`,
    a run on another computer that is at work on the deployment is waited for, not a refusal. With
    `before=False`, nothing has to pass on this computer first, and the report says so.

    Cancelling a run ends its nodes by policy first, and its outcome then has the verdict STOPPED.
    All of them raise SpotdeployError for what was refused before anything was made: ConfigError,
    RefusedError, HostError, PluginError and ProviderError.
    """

    async def cycle(
        self,
        *,
        wait: bool = False,
        before: bool = True,
        observers: Sequence[Observer] = (),
        recorder: RunRecorder | None = None,
    ) -> Outcome:
        """Destroy what is there, create fresh nodes, deploy, reboot and verify them; then keep or
        destroy them as the config's `keep` says."""
        return await self.record(
            "cycle",
            after_tests(partial(run_cycle, wait=wait), before),
            read_plans(self),
            observers,
            recorder,
        )

    async def create(
        self,
        *,
        wait: bool = False,
        before: bool = True,
        observers: Sequence[Observer] = (),
        recorder: RunRecorder | None = None,
    ) -> Outcome:
        """Create, deploy and reboot fresh nodes. Raises RefusedError while there are nodes."""
        return await self.record(
            "create",
            after_tests(partial(run_create, wait=wait), before),
            read_plans(self),
            observers,
            recorder,
        )

    async def verify(
        self, *, observers: Sequence[Observer] = (), recorder: RunRecorder | None = None
    ) -> Outcome:
        """Run the checks on the nodes that exist; changes nothing on them."""
        return await self.record("verify", run_verify, read_plans(self), observers, recorder)

    async def destroy(
        self,
        *,
        wait: bool = False,
        observers: Sequence[Observer] = (),
        recorder: RunRecorder | None = None,
    ) -> Outcome:
        """Destroy all nodes and prove that nothing is left. Works with a broken payload too."""
        return await self.record(
            "destroy", partial(run_destroy, wait=wait), {}, observers, recorder
        )

    @asynccontextmanager
    async def connect(self, node: str) -> AsyncIterator[Connection]:
        """A connection to a node, by its name or id, while the block runs.

        Raises RefusedError for an unknown node or host key, UnreachableError.
        """
        found = await asyncio.to_thread(find, self, node)
        async with found.connected() as connection:
            yield connection

    async def record(
        self,
        command: str,
        operation: Operation,
        plans: Mapping[str, Plan],
        observers: Sequence[Observer] = (),
        recorder: RunRecorder | None = None,
    ) -> Outcome:
        """What the methods above are made of: one run of an operation, by the name of `command`."""
        if self.config.matrix is not None:
            raise RefusedError(
                f"{self.path.name}: matrix: each cell is a deployment, the config itself is none",
                hint="from Python, spotdeploy.matrix.run.run_cells runs them",
            )
        recorder = recorder or RunRecorder()
        checks = [check for plan in plans.values() for check in plan.checks]
        secrets = [value for plan in plans.values() for value in plan.secrets.values()]
        redactor = self.hide_secrets(checks, secrets)
        bus = Bus(recorder.log, *observers, redact=redactor.anything)
        with (
            recorder,
            locked(self.deployment, command),
            open_run(self, plans, bus) as run,
            loop_traced(run),
        ):
            recorder.begin(run.folder)
            outcome = redactor.anything(await _perform(run, command, operation))
            recorder.outcome = outcome
        return outcome


def after_tests(operation: Operation, before: bool) -> Operation:
    """The operation once what `[before]` says has passed, or unless `before`, with that untested.
    What fails there is the outcome, and nothing was destroyed or made."""

    async def tested(run: Run) -> Outcome:
        plans = {group.group: group.plan for group in run.groups}
        bench = Bench(run.project, plans, run.journal, run.bus, run.id, run.deployment)
        if why := await run_before(bench, skip=not before):
            verdict, message = Verdict.TESTS_FAILED, f"{why}; {UNTOUCHED}"
            return Outcome(run.id, run.deployment, verdict, message, desired=run.desired)
        return await operation(run)

    return tested


async def _perform(run: Run, command: str, operation: Operation) -> Outcome:
    """The operation, with its beginning and end in the journal and among the events."""
    digest = run.digest
    run.journal.begin_run(run.id, run.deployment, command, digest)
    run.bus.emit(
        RunStarted(
            run=run.id,
            command=command,
            deployment=run.deployment,
            providers=run.providers,
            digest=digest,
            desired=run.desired,
            shared=any(group.stand_in for group in run.groups),
            checks=tuple(
                dict.fromkeys(check.name for group in run.groups for check in group.plan.checks)
            ),
            groups=tuple(map(_group_plan, run.groups)),
        )
    )
    try:
        outcome = await operation(run)
    except asyncio.CancelledError:
        message = "stopped by the user; nothing was changed"
        outcome = Outcome(run.id, run.deployment, Verdict.STOPPED, message)
    except SpotdeployError as error:
        _end(run, Verdict.REFUSED, error.exit_code, error.message)
        raise
    _end(run, outcome.verdict, outcome.exit_code, outcome.message)
    return outcome


def _group_plan(group: Run) -> GroupPlan:
    return GroupPlan(
        name=group.group,
        desired=group.desired,
        quorum=group.quorum,
        after=group.project.after,
        digest=group.plan.manifest.digest,
        checks=tuple(check.name for check in group.plan.checks),
    )


def _end(run: Run, verdict: Verdict, exit_code: int, message: str) -> None:
    """Note how the run ended. A journal that cannot be written does not change it."""
    try:
        run.journal.end_run(run.id, verdict, exit_code)
    except HostError as error:
        run.bus.emit(Note(text=error.message, warning=True))
    run.bus.emit(RunEnded(run=run.id, verdict=verdict, exit_code=exit_code, detail=message))
