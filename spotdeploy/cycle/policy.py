"""The policies of a run: which nodes stay when it ends, and what replaces an interrupted one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.events import GroupEnded, Note
from spotdeploy.model import Batch, Node, Offer, Verdict
from spotdeploy.phases.create import replace_node
from spotdeploy.phases.destroy import destroy, destroy_nodes
from spotdeploy.run.context import Run
from spotdeploy.run.location import list_nodes
from spotdeploy.run.outputs import fill_outputs
from spotdeploy.run.roster import numbered
from spotdeploy.run.verdict import NodeOutcome, Outcome, Receipt, Refusal, join, judge
from spotdeploy.state.journal import Intent
from spotdeploy.text import counted

REPLACEMENT_TOKENS: Final = 100_000
"""From this number on, the tokens of create calls are those of replacements."""
TOKENS_EACH: Final = 5_000
"""How many create calls one replacement may come to: a token of another one would give the cloud's
old nodes."""


@dataclass
class Progress:
    """What a run has come to so far; the outcome is made of it, even when the user stops it."""

    nodes: tuple[NodeOutcome, ...] = ()
    created: dict[str, int] = field(default_factory=dict)
    """Group to how many nodes were made for it."""
    refusals: tuple[Refusal, ...] = ()
    waited_for: dict[str, str] = field(default_factory=dict)
    """Group to one that it waited for in vain: it was not made."""
    receipts: list[Receipt] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    stopped: bool = False
    trouble: str = ""
    not_gone: list[Node] = field(default_factory=list)
    """Interrupted nodes that were replaced and could not be proven gone then."""
    partings: list[asyncio.Task[None]] = field(default_factory=list)
    """See `NodeRunner.partings`."""
    unanswered: Sequence[Intent] = ()
    """Create calls of the run of which nobody knows what came: machines may exist."""

    @property
    def changed(self) -> bool:
        """Whether the run made or ended anything, or may have."""
        ended = any(receipt.destroyed or receipt.left for receipt in self.receipts)
        return ended or any(self.created.values()) or bool(self.kept)


def conclude(run: Run, progress: Progress, *, desired: Mapping[str, int] | None = None) -> Outcome:
    """The outcome of a run that has ended. `desired` is how many nodes of each group should have
    passed, when that is not what the config asks for."""
    if desired is None:
        desired = {group.group: group.desired for group in run.groups}
    judged = {
        group.group: _judge_group(group, progress, desired.get(group.group, 0))
        for group in run.groups
        if group.group not in progress.waited_for
    }
    verdict, message = join(judged)
    for name, other in progress.waited_for.items():
        message += f"; {name} was not deployed, since {other} did not pass"
    if verdict is Verdict.PASSED and progress.unanswered:
        calls = counted(len(progress.unanswered), "create call")
        verdict, message = (
            Verdict.INFRASTRUCTURE_FAILED,
            f"what came of {calls} is not known: machines may exist",
        )
    if verdict is Verdict.INFRASTRUCTURE_FAILED and progress.trouble:
        message = f"{message}; {progress.trouble}" if message else progress.trouble
    if not any(desired.values()) and verdict is Verdict.PASSED:
        message = "nothing is left"
    return Outcome(
        run=run.id,
        deployment=run.deployment,
        verdict=verdict,
        message=message,
        desired=sum(desired.values()),
        nodes=progress.nodes,
        refusals=progress.refusals,
        receipts=tuple(progress.receipts),
        kept=tuple(progress.kept),
        outputs=_outputs(run, progress.kept),
    )


def _outputs(run: Run, kept: Sequence[Node]) -> dict[str, str | None]:
    """What the config's outputs say of the nodes that are kept."""
    if not (run.config.outputs and kept):
        return {}
    known: dict[tuple[str, str, str], int] = {}
    with suppress(HostError):  # a journal that cannot be read changes no verdict
        known = run.journal.numbers(run.deployment)
    return fill_outputs(run.config.outputs, numbered(kept, known))


def end_group(group: Run, progress: Progress, desired: int) -> Verdict:
    """Say that the nodes of a group have ended, of which `desired` should have passed. Gives the
    group's verdict."""
    verdict, message = _judge_group(group, progress, desired)
    group.bus.emit(GroupEnded(group=group.group, verdict=verdict, detail=message))
    return verdict


def _judge_group(group: Run, progress: Progress, desired: int) -> tuple[Verdict, str]:
    return judge(
        [outcome for outcome in progress.nodes if outcome.group == group.group],
        progress.receipts,
        desired=desired,
        quorum=min(group.quorum, desired),
        refusals=[refusal for refusal in progress.refusals if refusal.group == group.group],
        created=progress.created.get(group.group),
        stopped=progress.stopped,
    )


async def end_by_policy(run: Run, progress: Progress) -> None:
    """Keep or destroy the nodes of a run, as the config's `keep` says."""
    passed = conclude(run, progress).verdict is Verdict.PASSED
    if run.config.keep == "always":
        await _note_kept(run, progress)
    elif run.config.keep == "passing" and passed:
        await _end_failed(run, progress)
        await _note_kept(run, progress)
    else:
        progress.receipts.append(await destroy(run, own=True))


async def _end_failed(run: Run, progress: Progress) -> None:
    """End the nodes that did not pass when the others make the quorum, and what was replaced."""
    failed = [outcome.node for outcome in progress.nodes if not outcome.passed]
    failed += progress.not_gone
    for location in run.all_locations:
        here = [node for node in failed if run.location_of(node) is location]
        if here:
            progress.receipts.append(await destroy_nodes(run, location, here))


async def _note_kept(run: Run, progress: Progress) -> None:
    with suppress(ProviderError):  # only for the screen: the nodes are kept either way
        progress.kept = await list_nodes(run.all_locations, run.scope)


class Replacer:
    """Replaces interrupted nodes while the config allows it."""

    def __init__(
        self,
        run: Run,
        offers: Mapping[str, Sequence[Offer]],
        template: Batch,
        not_gone: list[Node],
    ) -> None:
        """`offers` are each provider's candidates, best first; `not_gone` is given the nodes that
        could not be proven gone when they were replaced."""
        self._not_gone = not_gone
        nodes = run.config.nodes
        self._left = nodes.replacements if nodes.on_interruption == "replace" else 0
        self._run = run
        self._offers = offers
        self._template = template
        self._tokens = itertools.count(REPLACEMENT_TOKENS, TOKENS_EACH)

    async def __call__(self, outcome: NodeOutcome) -> Sequence[Node]:
        """Destroy the interrupted node and create another; none when no more are allowed."""
        if self._left <= 0:
            return ()
        self._left -= 1
        run, node = self._run, outcome.node
        run.bus.emit(Note(text=f"replacing {node.name}: {outcome.message}", node=node.id))
        receipt = await destroy_nodes(run, run.location_of(node), [node])
        if not receipt.clean:
            self._not_gone.append(node)
        return await replace_node(
            run, node.provider, self._offers, self._template, next(self._tokens)
        )
