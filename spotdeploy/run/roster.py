"""Who is in a run: its nodes by group and index, as far as they are known."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spotdeploy.labels import group_of
from spotdeploy.model import Node


@dataclass
class Member:
    """One node of a run."""

    node: Node
    group: str
    index: int
    """From 0, in its group. One that takes another's place has the other's."""
    host_key: str = ""
    """The fingerprint of its own, as `ssh-keygen -l` shows it, once it has made it."""
    ended: bool = False
    """Whether spotdeploy works on it no more and it did not pass."""


class Roster:
    """The nodes of one run."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str, str], Member] = {}
        self._sizes: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        """How many nodes are in it."""
        return len(self._members)

    def enter(self, group: str, nodes: Iterable[Node]) -> None:
        """Take in the nodes of a group, in their order, once for each."""
        for node in nodes:
            if node_key(node) not in self._members:
                self._members[node_key(node)] = Member(node, group, self._sizes[group])
                self._sizes[group] += 1

    def replace(self, old: Node, new: Sequence[Node]) -> None:
        """Let nodes take another's place; the first has its index."""
        gone = self._members.pop(node_key(old), None)
        for node in new:
            if gone is not None:
                self._members[node_key(node)] = Member(node, gone.group, gone.index)
                gone = None

    def dismiss(self, group: str) -> None:
        """Forget the nodes of a group, which are deployed afresh."""
        self._members = {key: one for key, one in self._members.items() if one.group != group}
        del self._sizes[group]

    def member(self, node: Node) -> Member:
        """What is known of a node; of one that nobody entered, that it is the first."""
        return self._members.get(node_key(node)) or Member(node, "", 0)

    def members(self, groups: Iterable[str]) -> list[Member]:
        """The nodes of some groups, by group and index."""
        order = {name: number for number, name in enumerate(groups)}
        found = [one for one in self._members.values() if one.group in order]
        return sorted(found, key=lambda one: (order[one.group], one.index))

    async def tell(self, node: Node, *, host_key: str = "", ended: bool = False) -> None:
        """Take note of what became known of a node."""
        member = self._members.get(node_key(node))
        if member is None:
            return
        member.node, member.ended = node, ended
        member.host_key = host_key or member.host_key
        if self._is_addressed(member.group):
            async with self._changed:
                self._changed.notify_all()

    async def until_addressed(self, group: str) -> None:
        """Return once each node of a group has an address or has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_addressed(group))

    def _is_addressed(self, group: str) -> bool:
        members = (one for one in self._members.values() if one.group == group)
        return all(one.ended or one.node.address for one in members)


def numbered(
    nodes: Iterable[Node], known: Mapping[tuple[str, str, str], int]
) -> dict[str, dict[int, Node]]:
    """Nodes by group and index. `known` is what the journal has of that; the others have the
    indexes that are free, in the order of their names."""
    found: dict[str, dict[int, Node]] = {}
    rest: list[Node] = []
    for node in nodes:
        group, index = found.setdefault(group_of(node.labels), {}), known.get(node_key(node))
        if index is None or index in group:
            rest.append(node)
        else:
            group[index] = node
    for node in sorted(rest, key=_by_name):
        group = found[group_of(node.labels)]
        group[next(number for number in itertools.count() if number not in group)] = node
    return {name: dict(sorted(group.items())) for name, group in found.items()}


def _by_name(node: Node) -> tuple[tuple[bool, int, str], ...]:
    """Names in their order, number 10 behind number 9."""
    parts = re.split(r"(\d{1,9})", node.name)
    return tuple((one.isdecimal(), int(one) if one.isdecimal() else 0, one) for one in parts)


def node_key(node: Node) -> tuple[str, str, str]:
    """Provider, location and id: what no other node has."""
    return node.provider, node.location, node.id
