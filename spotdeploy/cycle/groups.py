"""Takes the groups of a run to their ends: none waits for another but for those in its `after`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from spotdeploy import labels
from spotdeploy.cycle.policy import Progress, Replacer, end_group
from spotdeploy.cycle.runner import NodeRunner, OnInterrupted, Pipeline, Shared
from spotdeploy.errors import ProviderError
from spotdeploy.events import GroupEnded, NodeEnded, Note
from spotdeploy.model import Node, Offer, Verdict
from spotdeploy.phases.create import batch_template, create
from spotdeploy.phases.destroy import destroy_nodes
from spotdeploy.run.context import Run
from spotdeploy.run.location import list_nodes
from spotdeploy.run.verdict import NodeOutcome


@dataclass(frozen=True)
class Loss:
    """A node that others know of, and that is no more: what they know is stale."""

    group: str
    node: Node
    message: str


@dataclass
class GroupsRunner:
    """The groups of one run."""

    run: Run
    offers: Mapping[str, Mapping[str, Sequence[Offer]]]
    """Group, then provider, to candidates, best first."""
    pipeline: Pipeline
    shared: Shared
    progress: Progress
    _passed: dict[str, asyncio.Future[bool]] = field(default_factory=dict)
    _losses: Counter[str] = field(default_factory=Counter)
    _redeployed: Counter[str] = field(default_factory=Counter)

    async def deploy(self) -> None:
        """Create the nodes of every group and take them through the pipeline; `progress` has what
        came of it.

        Where a node is lost that other groups came after, these and its own group are deployed
        afresh, or the run fails, as that group's `on_interruption` says: no node may pass that
        knows of nodes that are no more. Raises ProviderError then, and what `create` raises.
        """
        names = [group.group for group in self.run.groups]
        while names:
            loss = await self._until_done_or_lost(names)
            if loss is None:
                return
            names = self._that_know(loss.group)
            await self._clear(names, loss)

    async def _until_done_or_lost(self, names: Sequence[str]) -> Loss | None:
        """Deploy these groups; None when all have ended, else the first loss that makes stale what
        others know. Their work is then cancelled."""
        losses: asyncio.Queue[Loss] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._passed |= {name: loop.create_future() for name in names}
        tasks = [
            asyncio.create_task(
                (self._deploy if group.group in names else self._watch)(group, losses)
            )
            for group in self.run.groups
        ]
        work, lost = asyncio.gather(*tasks), asyncio.ensure_future(losses.get())
        everything: list[asyncio.Future[Any]] = [*tasks, work, lost]
        try:
            await asyncio.wait(everything[-2:], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return lost.result()
            await work
            return None
        finally:
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _deploy(self, group: Run, losses: asyncio.Queue[Loss]) -> None:
        name, passed = group.group, self._passed[group.group]
        for other in group.project.after:
            if not await asyncio.shield(self._passed[other]):
                self.progress.waited_for[name] = other
                why = f"not deployed, since {other} did not pass"
                group.bus.emit(GroupEnded(group=name, detail=why, waited_for=other))
                passed.set_result(False)
                return
        await self._create_and_run(group, losses)
        verdict = end_group(group, self.progress, group.desired)
        passed.set_result(verdict is Verdict.PASSED)
        await self._watch(group, losses)

    async def _create_and_run(self, group: Run, losses: asyncio.Queue[Loss]) -> None:
        if again := self._redeployed[group.group]:  # with the old tokens the old nodes would come
            group = replace(group, series=f"{group.series}r{again}-")
        template = batch_template(group, self.shared.keys)
        self.shared.admission.enter(group, template)
        offers, progress = self.offers[group.group], self.progress
        nodes, refusals = await create(group, offers, template)
        progress.refusals += refusals
        progress.created[group.group] = len(nodes)
        progress.unanswered = [
            one
            for one in group.journal.open_intents(group.deployment)
            if one.run == group.id and one.count
        ]
        on_interrupted: OnInterrupted = Replacer(group, offers, template, progress.not_gone)
        if _peers_know(group):
            on_interrupted = partial(self._report_interrupted, losses)
        runner = NodeRunner(group, self.shared, self.pipeline, on_interrupted)
        ready = worth_running(group, nodes)
        outcomes = await runner.run_nodes(ready) if ready else ()
        progress.nodes += outcomes  # after the wait: other groups add theirs meanwhile

    async def _watch(self, group: Run, losses: asyncio.Queue[Loss]) -> None:
        """Until the groups that came after this one have ended, report its nodes that are lost."""
        name = group.group
        waiting = [self._passed[one] for one in self._that_know(name) if one != name]
        if not waiting or not self._passed[name].result():
            return
        runner = NodeRunner(group, self.shared, self.pipeline)
        mine = [outcome for outcome in self.progress.nodes if outcome.group == name]
        passed = [outcome.node for outcome in mine if outcome.passed]
        watches = [asyncio.create_task(self._report(runner, node, losses)) for node in passed]
        try:
            await asyncio.wait(waiting)
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _report(self, runner: NodeRunner, node: Node, losses: asyncio.Queue[Loss]) -> None:
        fate = await runner.until_lost(node)
        message = f"{fate.kind} after it passed: {fate.message}"
        losses.put_nowait(Loss(runner.run.group, node, message))

    async def _report_interrupted(
        self, losses: asyncio.Queue[Loss], outcome: NodeOutcome
    ) -> Sequence[Node]:
        losses.put_nowait(Loss(outcome.group, outcome.node, outcome.message))
        return await asyncio.Future()  # until all this work is cancelled

    def _that_know(self, name: str) -> list[str]:
        """A group and those whose nodes know of it, since they came after it."""
        found = [name]
        for group in self.run.groups:  # each after those that it waits for
            if any(one in found for one in group.project.after):
                found.append(group.group)
        return found

    async def _clear(self, names: Sequence[str], loss: Loss) -> None:
        """End the nodes of these groups, to deploy them afresh. Raises ProviderError where the
        config does not allow that."""
        run, nodes = self.run, self.run.project.groups[loss.group].config.nodes
        others = " and ".join(names[1:] or ["its own group"])
        why = f"{loss.node.name} of {loss.group}: {loss.message}; the nodes of {others} know of it"
        self._losses[loss.group] += 1
        if nodes.on_interruption == "fail" or self._losses[loss.group] > nodes.replacements:
            raise ProviderError(why)
        run.bus.emit(Note(text=f"{why}: deploying {', '.join(names)} afresh", warning=True))
        for member in self.shared.roster.members(names):
            id_, failed = member.node.id, Verdict.INFRASTRUCTURE_FAILED
            run.bus.emit(NodeEnded(node=id_, verdict=failed, detail=f"deployed afresh: {why}"))
        for name in names:
            self._redeployed[name] += 1
            self.shared.roster.dismiss(name)
            self.progress.created.pop(name, None)
            self.progress.waited_for.pop(name, None)
        kept = [outcome for outcome in self.progress.nodes if outcome.group not in names]
        self.progress.nodes = tuple(kept)
        listed = await list_nodes(run.all_locations, {**run.scope, labels.RUN: run.id})
        going = [node for node in listed if labels.group_of(node.labels) in names]
        for location in run.all_locations:
            here = [node for node in going if run.location_of(node) is location]
            if here:
                receipt = await destroy_nodes(run, location, here)
                if not receipt.clean:
                    self.progress.not_gone += here


def _peers_know(group: Run) -> bool:
    """Whether a node that takes another's place would leave the others of its group with stale
    facts that they use: where they may talk, they know each other."""
    nodes = group.config.nodes
    return bool(nodes.open_between) and group.desired > 1 and nodes.on_interruption == "replace"


def worth_running(run: Run, nodes: Sequence[Node]) -> Sequence[Node]:
    """The nodes of a group that are taken through the pipeline: all, when they make the quorum;
    else those of the walks that did their part, so that one cloud's failure is its own."""
    if len(nodes) >= run.quorum:
        return nodes
    walk_of = {name: walk for walk in run.walks for name in walk}
    made = Counter(walk_of[node.provider] for node in nodes)
    each = run.quorum / len(run.walks)
    return [node for node in nodes if made[walk_of[node.provider]] >= each]
