"""`payload`: the node has the present tree, unedited, and nobody logged in by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from spotdeploy import labels
from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection, Mandatory
from spotdeploy.duration import Duration
from spotdeploy.model import Manifest, Node
from spotdeploy.node import paths
from spotdeploy.text import plain
from spotdeploy_checks import drift, logins

HASHED_PER_SECOND: Final = 10 << 20
"""Bytes that even a slow disk reads in a second."""
NAMED: Final = 10
"""Paths that are named of a tree that has changed; of more, the number is told."""
STALE: Final = "stale: "


class PayloadSettings(CheckSettings, frozen=True, kw_only=True):
    """A `payload` check has no keys of its own."""

    within: Duration = Duration("10s")


class PayloadCheck(Check[PayloadSettings]):
    """Compare the node with the manifest, and its logins with our own connections."""

    kind = "payload"
    Settings = PayloadSettings
    mandatory = Mandatory.ALWAYS

    def title(self) -> str:
        return "payload"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        given = drift.as_input(drift.expected(connection.manifest))
        looked, traced = await asyncio.gather(
            connection.run(drift.inspect_command(), timeout=120.0, stdin=given),
            connection.run(logins.inspect_command(), timeout=60.0),
        )
        try:
            wrong = await _shipped(node, connection, _answer(looked, "the shipped files"))
            traces = logins.read(_answer(traced, "who logged in"))
        except ValueError as error:
            return self.failed(str(error))
        return self._judged(wrong, traces)

    def _judged(self, wrong: str, traces: logins.Traces) -> CheckResult:
        strangers = logins.strangers(traces)
        hands = logins.in_words(traces, strangers)
        if not wrong and not hands:
            return self._complete(traces)
        reported = [wrong] if wrong else []
        if hands:
            reported.append(f"touched: {'; '.join(hands)}")
        unsettled = all(logins.may_be_ours(traces, one) for one in strangers)
        return self.failed("\n".join(reported), final=bool(wrong or traces.marks) or not unsettled)

    def _complete(self, traces: logins.Traces) -> CheckResult:
        """A log that lacks what it must have cannot show that nobody was there."""
        if not traces.own:
            return self.failed(
                f"{paths.SESSIONS} names no connection of ours: who logged in is not known"
            )
        lost = logins.unseen(traces)
        if not lost:
            return self.passed()
        address, port = (plain(part, limit=60) for part in lost[0])
        return self.failed(
            f"the journal does not show our own login from {address} port {port}, so it may lack "
            "others: who logged in is not known"
        )


def version(there: str, tree: str, label: str) -> str:
    """What is wrong with the payload as a whole; empty when it is the tree's.

    `there` and `tree` are digests of the manifests on the node and here; `label` is the beginning
    of the digest that the node was created with, empty when that is not known.
    """
    if not there:
        return "nothing was shipped to this node"
    if there == tree:
        if not label or tree.startswith(label):
            return ""
        return (
            f"drift: this node was created with {label[:12]}, and it was made to hold "
            f"{there[:12]} since; nodes are replaced, never changed: run 'spotdeploy cycle'"
        )
    if label and not there.startswith(label):
        return f"drift: {paths.MANIFEST} was changed on the node; run 'spotdeploy cycle'"
    return (
        f"{STALE}the tree has changed since this node was created (the node has {there[:12]}, "
        f"the tree is {tree[:12]})"
    )


async def _shipped(node: Node, connection: Connection, looked: str) -> str:
    """What is wrong with the shipped files, in one line; empty when nothing is."""
    manifest = connection.manifest
    found = drift.read_look(looked, drift.expected(manifest))
    if wrong := version(found.digest, manifest.digest, node.labels.get(labels.DIGEST, "")):
        if not wrong.startswith(STALE):
            return wrong
        return f"{wrong}{await _named(connection)}; run 'spotdeploy cycle'"
    command, given = drift.hashing(manifest, found)
    changed = await _changed(connection, command, given, manifest) if given else []
    differing = drift.differences(manifest, found, changed)
    return drift.in_words(differing) if differing else ""


async def _named(connection: Connection) -> str:
    """The paths of the tree that differ from what was shipped, to follow the verdict; empty when
    the node does not tell."""
    manifest = connection.manifest
    result = await connection.run(drift.stale_command(), timeout=60.0, stdin=manifest.data)
    named = drift.read_stale(result.stdout, manifest)
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f": {'; '.join(named[:NAMED])}{more}" if named else ""


async def _changed(
    connection: Connection, command: Sequence[str], given: bytes, manifest: Manifest
) -> list[str]:
    seconds = 30.0 + manifest.size / HASHED_PER_SECOND
    result = await connection.run(command, timeout=seconds, stdin=given)
    changed = drift.read_hashing(result.stdout)
    if result.exit_code != 0 and not changed:
        raise ValueError(_unanswered(result, "the digests of the shipped files"))
    return changed


def _answer(result: CommandResult, what: str) -> str:
    if result.exit_code != 0 or result.truncated:
        raise ValueError(_unanswered(result, what))
    return result.stdout


def _unanswered(result: CommandResult, what: str) -> str:
    message = "the answer is too long" if result.truncated else f"exit code {result.exit_code}"
    return f"the node did not tell {what}: {plain(result.stderr, limit=300) or message}"
