"""Facts: what a node is told of itself and of the others before its entry starts.

A node knows the nodes of its own group and of those that its group came after. Of the latter,
which have passed, everything is known; of its own group, host keys that are made meanwhile are not.
A node that failed is not told of.
"""

from __future__ import annotations

from typing import Final

import msgspec

from spotdeploy.errors import ProviderError, UnreachableError
from spotdeploy.node import paths
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.roster import Member
from spotdeploy.text import plain

SECONDS: Final = 60.0
_DELIVER: Final = f"set -eu; umask 022; cat > {paths.NODES}.new; mv {paths.NODES}.new {paths.NODES}"


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One node, as others know it."""

    name: str
    id: str
    """The provider's."""
    index: int
    """From 0, in its group."""
    provider: str
    location: str
    zone: str | None
    size: str | None
    market: str
    address: str | None
    """Where it is reached from outside."""
    private_address: str | None
    """Where it is reached from its own network; null where it has no other."""
    host_key: str | None
    """The fingerprint of its ssh host key, as `ssh-keygen -l` shows it; null while the node has
    not made it."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """nodes.json."""

    deployment: str
    run: str
    group: str
    """Of the node that has this file."""
    index: int
    """Of that node."""
    groups: dict[str, tuple[NodeFacts, ...]]
    """The nodes of each group that the node knows of, by index."""


def facts_schema() -> dict[str, object]:
    """The JSON Schema of nodes.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nodes.json",
        **msgspec.json.schema(RunFacts),
    }


def facts_schema_text() -> str:
    """The same as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(facts_schema())).decode()


async def deliver_facts(node_run: NodeRun) -> None:
    """Put nodes.json on a node, in one round trip. Where the nodes of a group may talk, once the
    cloud has told the addresses of all of them and lets in those that are elsewhere.

    Raises UnreachableError when the connection is cut, the node cannot take it, or a cloud does not
    let others in.
    """
    if node_run.config.nodes.open_between or node_run.admission.is_asked:
        await node_run.roster.until_addressed(node_run.run.group)
    if node_run.admission.is_asked:
        await _let_in(node_run)
    text = msgspec.json.format(msgspec.json.encode(facts_of(node_run)))
    result = await node_run.connection.run(["sh", "-c", _DELIVER], timeout=SECONDS, stdin=text)
    if result.exit_code != 0:
        message = plain(result.stderr, limit=300) or f"exit code {result.exit_code}"
        raise UnreachableError(
            f"{node_run.node.name}: cannot take the facts: {message}", phase=node_run.phase
        )


async def _let_in(node_run: NodeRun) -> None:
    try:
        await node_run.admission.renew(node_run.roster)
    except ProviderError as error:
        raise UnreachableError(
            f"{node_run.node.name}: nodes elsewhere are not let in: {error.explained}",
            phase=node_run.phase,
        ) from error


def facts_of(node_run: NodeRun) -> RunFacts:
    """What the node is told now."""
    run, roster = node_run.run, node_run.roster
    return RunFacts(
        deployment=run.deployment,
        run=run.id,
        group=run.group,
        index=roster.member(node_run.node).index,
        groups={
            name: tuple(_facts(one) for one in roster.members([name]) if not one.ended)
            for name in (*run.project.known_groups, run.group)
        },
    )


def variables(node_run: NodeRun) -> dict[str, str]:
    """The same of the node itself, as variables of the entry. What is not known is empty."""
    run, node = node_run.run, node_run.node
    known = {
        "DEPLOYMENT": run.deployment,
        "RUN": run.id,
        "NODE": node.name,
        "NODE_NAME": node.name,
        "NODE_ID": node.id,
        "GROUP": run.group,
        "INDEX": str(node_run.roster.member(node).index),
        "COUNT": str(len(node_run.roster.members([run.group])) or 1),
        "PROVIDER": node.provider,
        "LOCATION": node.location,
        "ZONE": node.zone,
        "SIZE": node.size,
        "MARKET": str(node.market),
        "ADDRESS": node.address,
        "PRIVATE_ADDRESS": node.private_address,
    }
    return {f"SPOTDEPLOY_{name}": value or "" for name, value in known.items()}


def _facts(member: Member) -> NodeFacts:
    node = member.node
    return NodeFacts(
        name=node.name,
        id=node.id,
        index=member.index,
        provider=node.provider,
        location=node.location,
        zone=node.zone,
        size=node.size,
        market=str(node.market),
        address=node.address,
        private_address=node.private_address,
        host_key=member.host_key or None,
    )
