"""Whether what is asked for fits into a quota, once the deployment's own nodes are gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spotdeploy.model import Batch, Node, Pool, Problem


@dataclass(frozen=True, slots=True)
class Need:
    """A quota, and what a run takes of it."""

    quota: str
    """Its name and place, for people."""
    limit: float
    used: float
    by_run: float
    """What must be free for the run's nodes here."""
    by_node: Callable[[str], float | None]
    """What an existing node of a size takes; None when that is not known."""


def share(pool: Pool, batch: Batch, locations: Sequence[str]) -> tuple[int, bool]:
    """How many nodes a location has to give, and whether a lack of room there is fatal: it is not
    while another location or market may give them."""
    places = max(1, len(locations))
    return math.ceil(batch.count / places), places == 1 and len(pool.policy.markets) == 1


def shortages(
    needs: Iterable[Need], own_nodes: Callable[[], Sequence[Node]], remedy: str, *, fatal: bool
) -> list[Problem]:
    """A problem for each quota that is too small. What the deployment's own nodes take counts as
    free, since they end first; they are listed only when that makes a difference."""
    short = [need for need in needs if need.limit - need.used < need.by_run]
    if not short:
        return []
    sizes = [node.size or "" for node in own_nodes()]
    return [
        Problem(
            f"quota {need.quota} has room for {free:g} of {need.limit:g}, and this run needs "
            f"{need.by_run:g}",
            remedy,
            fatal=fatal,
        )
        for need in short
        if (free := _free(need, sizes)) < need.by_run
    ]


def _free(need: Need, sizes: Sequence[str]) -> float:
    taken = [need.by_node(size) for size in sizes]
    if None in taken:  # a size that the config no longer names: give it the benefit of the doubt
        return need.limit
    return need.limit - max(0.0, need.used - sum(one or 0.0 for one in taken))
