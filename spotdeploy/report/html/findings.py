"""What went wrong, shown once for all nodes it happened to, with the evidence beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from spotdeploy.model import FateKind, Verdict
from spotdeploy.report.html.timeline import tone
from spotdeploy.report.model import NodeReport, RunReport

INDEX: Final = "index.json"
TAIL: Final = 6_000
"""Bytes of a piece of evidence that stand in the page; the rest is behind the link."""
BUDGET: Final = 2_000_000
"""Bytes of evidence in one page."""
_MOMENT: Final = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:?\d\d)?\s*")
_UNIT: Final = re.compile(r"[\w@:.-]+\.service")
INTERRUPTED: Final = "interrupted"
FORMS: Final = 5
"""How many different words for one failed check are shown."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A piece of evidence."""

    title: str
    href: str
    bytes: int
    problem: str
    tail: str
    """Its last part, or nothing when the page has no room."""
    cut: bool
    """True when `tail` is not all of it."""
    open: bool
    """True for the one that is to be read first."""


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that failed on some of a finding's nodes."""

    name: str
    nodes: int
    messages: tuple[tuple[str, int], ...]
    """What it said, with how often; the most frequent first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Nodes that failed alike."""

    tone: str
    title: str
    messages: tuple[tuple[str, int], ...]
    nodes: tuple[NodeReport, ...]
    checks: tuple[FailedCheck, ...]
    attachments: tuple[Attachment, ...]
    """Of the first node that has any."""
    shown: NodeReport | None
    """The node whose evidence that is."""
    group: str = ""
    """Their group; empty where the config names none."""

    @property
    def who(self) -> str:
        """The node, or how many, of which group."""
        who = self.nodes[0].name if len(self.nodes) == 1 else f"{len(self.nodes)} nodes"
        return f"{self.group}: {who}" if self.group else who

    @property
    def why(self) -> str:
        """In one line: what happened, and the first failed check's words or the node's."""
        output = [
            f"{check.name}: {message}" for check in self.checks for message, _ in check.messages[:1]
        ]
        lines = [line for message, _ in self.messages for line in message.splitlines()]
        first = next(iter((*output, *lines)), "").partition("\n")[0]
        if first.startswith(INTERRUPTED):
            return first
        return f"{self.title}: {first}" if first else self.title


class _Indexed(msgspec.Struct, frozen=True):
    file: str
    title: str
    bytes: int
    complete: bool
    problem: str = ""


def findings(report: RunReport, folder: Path, root: str = "") -> tuple[Finding, ...]:
    """The failures of a run, those of most nodes first, each of one group. `folder` is the run's;
    `root` leads to it from the page, and ends in "/" or is empty."""
    alike: dict[
        tuple[str, Verdict | None, FateKind | None, str, tuple[str, ...]], list[NodeReport]
    ] = {}
    for node in report.failed:
        bad = tuple(answer.name for answer in node.checks if not answer.ok)
        alike.setdefault((node.group, node.verdict, node.fate, node.phase, bad), []).append(node)
    shelf = _EvidenceReader(folder, root)
    kinds = sorted(alike.values(), key=len, reverse=True)
    return tuple(
        _finding(nodes, shelf, nodes[0].group if report.grouped else "") for nodes in kinds
    )


def attachments(node: NodeReport, folder: Path, root: str = "") -> tuple[Attachment, ...]:
    """The evidence of one node as links only."""
    return tuple(_EvidenceReader(folder, root, budget=0).of(node))


class _EvidenceReader:
    """Reads evidence into the page while there is room."""

    def __init__(self, folder: Path, root: str, budget: int = BUDGET) -> None:
        self._folder = folder
        self._root = root
        self._left = budget

    def of(self, node: NodeReport, telling: Sequence[str] = ()) -> Iterable[Attachment]:
        """The first of the `telling` files that says anything is open."""
        if not node.evidence:
            return
        place = node.evidence
        items = _index(self._folder / place / INDEX)
        there = {item.file for item in items if item.bytes and not item.problem}
        first = next((file for file in telling if file in there), "")
        for item in items:
            tail = self._tail(self._folder / place / item.file) if item.bytes else ""
            yield Attachment(
                item.title,
                f"{self._root}{quote(f'{place}/{item.file}')}" if item.bytes else "",
                item.bytes,
                item.problem,
                tail,
                cut=len(tail.encode()) < item.bytes,
                open=bool(tail) and item.file == first,
            )

    def _tail(self, path: Path) -> str:
        room = min(TAIL, self._left)
        if room <= 0 or not path.resolve().is_relative_to(self._folder.resolve()):
            return ""
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - room))
                data = file.read(room)
        except OSError:
            return ""  # it was moved away; the link stays
        self._left -= len(data)
        if len(data) == room and b"\n" in data:
            data = data.partition(b"\n")[2]
        return data.decode("utf-8", "replace")


def _finding(nodes: Sequence[NodeReport], shelf: _EvidenceReader, group: str) -> Finding:
    first = nodes[0]
    shown = next((node for node in nodes if node.evidence), None)
    verdict = f"{first.fate} by the cloud" if first.interrupted else first.verdict
    return Finding(
        tone(first),
        f"{verdict} in {first.phase}",
        _counted(node.message for node in nodes),
        tuple(nodes),
        tuple(_failed_checks(nodes)),
        tuple(shelf.of(shown, _telling(shown))) if shown else (),
        shown,
        group,
    )


def _telling(node: NodeReport) -> tuple[str, ...]:
    """The files that are likely to say why, the likeliest first."""
    if node.interrupted:
        return ()  # the cloud's words say why
    if node.phase == "deploy":
        return ("deployment.log",)
    if node.phase != "verify":
        return ("console.txt", "journal.txt")
    output = " ".join(f"{check.detail} {check.name}" for check in node.checks if not check.ok)
    journals = [f"journal-{unit}.txt" for unit in _UNIT.findall(output)]
    return (*journals, "units.txt", "failed-units.txt")


def _failed_checks(nodes: Sequence[NodeReport]) -> Iterable[FailedCheck]:
    names = dict.fromkeys(a.name for node in nodes for a in node.checks if not a.ok)
    for name in names:
        output = [a.detail for node in nodes for a in node.checks if a.name == name and not a.ok]
        yield FailedCheck(name, len(output), _counted(output))


def _counted(messages: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Each once, with how often; moments in them make no difference."""
    output = [word for word in messages if word]
    counts = Counter(_MOMENT.sub("", word) for word in output).most_common(FORMS)
    whole = {_MOMENT.sub("", word): word for word in output}
    return tuple((word if count > 1 else whole[word], count) for word, count in counts)


def _index(path: Path) -> list[_Indexed]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Indexed])
    except (OSError, msgspec.MsgspecError):
        return []
