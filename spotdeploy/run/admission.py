"""Who is let in from other locations: the nodes of a run, by their public addresses.

A cloud's own means reach as far as one location. Elsewhere a node is an address like any other,
which is known only once the cloud has given it, so it is let in then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from spotdeploy.model import Batch
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.roster import Member, Roster


class Admission:
    """What each location of a run lets in from the others."""

    def __init__(self) -> None:
        self._groups: dict[str, tuple[Run, Batch]] = {}
        self._admitted: dict[tuple[str, str, str], tuple[frozenset[str], frozenset[str]]] = {}
        self._turn = asyncio.Lock()

    def enter(self, run: Run, batch: Batch) -> None:
        """Take in a group. `batch` is what its nodes are made for; see `SupportsPeers.admit`."""
        self._groups[run.group] = run, batch

    @property
    def is_asked(self) -> bool:
        """Whether a group lets in nodes from elsewhere."""
        return any(_lets_in(run) for run, _ in self._groups.values())

    async def renew(self, roster: Roster) -> None:
        """Let every location know the addresses of those that are elsewhere, if they have changed.

        Raises ProviderError when a cloud refuses.
        """
        async with self._turn:
            known = [one for one in roster.members(self._groups) if not one.ended]
            await asyncio.gather(
                *(
                    self._admit(run, place, batch, known)
                    for run, batch in self._groups.values()
                    for place in run.locations
                    if _lets_in(run)
                )
            )

    async def _admit(
        self, run: Run, place: Location, batch: Batch, known: Sequence[Member]
    ) -> None:
        here = [one for one in known if (one.node.provider, one.node.location) == place.key]
        there = [one for one in known if one not in here]
        mine = frozenset(one.node.id for one in here if one.group == run.group)
        addresses = frozenset(one.node.address for one in there if one.node.address)
        key = (run.group, *place.key)
        if mine and self._admitted.get(key) != (mine, addresses):
            await place.admit(batch, sorted(addresses))
            self._admitted[key] = mine, addresses


def _lets_in(run: Run) -> bool:
    nodes = run.config.nodes
    return nodes.open_between_locations and bool(nodes.between)
