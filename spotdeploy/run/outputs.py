"""`[outputs]`: texts with facts of nodes in braces, such as "http://{nodes[0].address}:1234"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final

from spotdeploy.config.errors import quoted
from spotdeploy.config.load import blamed
from spotdeploy.errors import ConfigError, HostError
from spotdeploy.labels import group_of
from spotdeploy.model import Node
from spotdeploy.project import Project
from spotdeploy.run.roster import numbered
from spotdeploy.state.journal import Journal
from spotdeploy.text import counted, nearest, plain

FACTS: Final = (
    *("address", "private_address", "name", "id", "index", "group"),
    *("provider", "location", "zone", "size", "market"),
)
"""What may be asked of a node: as in nodes.json, which each node is given."""
Numbered = Mapping[str, Mapping[int, Node]]
"""The nodes of each group, by index."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PART: Final = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<inner>[^{}]*)\}|(?P<alone>[{}])")
_REFERENCE: Final = re.compile(
    r"(?P<group>[a-zA-Z][\w-]*)\[(?P<index>\d{1,5})\]\.(?P<fact>[a-zA-Z]\w*)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A fact of a node."""

    group: str
    index: int
    fact: str


def require_outputs(project: Project) -> None:
    """Refuse outputs that no run of this config can give.

    Raises ConfigError with the key, and the nearest name where one is misspelt.
    """
    for name, text in project.config.outputs.items():
        if objection := _objection(project, name, text):
            message, hint = objection
            file = project.path.name
            error = ConfigError(f"{file}: outputs.{quoted(name)}: {message}", hint=hint)
            raise blamed(error, file, project.settings.sources)


def fill_outputs(outputs: Mapping[str, str], nodes: Numbered) -> dict[str, str | None]:
    """The outputs with the facts of these nodes; None for one that names a node that is not among
    them, or a fact that is not known of it. Empty where there are no nodes."""
    if not any(nodes.values()):
        return {}
    return {name: _filled(text, nodes) for name, text in outputs.items()}


def outputs_of(project: Project, deployment: str, nodes: Iterable[Node]) -> dict[str, str | None]:
    """What the config's outputs say of these nodes of a deployment."""
    numbers = numbers_of(project, deployment)
    return fill_outputs(project.config.outputs, numbered(nodes, numbers))


def numbers_of(project: Project, deployment: str) -> dict[tuple[str, str, str], int]:
    """Provider, location and id of a deployment's nodes to their index. A journal that cannot be
    read is done without: nodes are then numbered by their names."""
    if project.journal_path.exists():
        with suppress(HostError), closing(Journal(project.journal_path)) as journal:
            return journal.numbers(deployment)
    return {}


def output_lines(outputs: Mapping[str, str | None], before: str = "") -> list[str]:
    """A line for each output, for people."""
    return [f"{before}{name}: {value or 'not known'}" for name, value in outputs.items()]


def fact_of(node: Node, index: int, fact: str) -> str | None:
    """One of `FACTS`, or None where it is not known."""
    beside = {"index": str(index), "group": group_of(node.labels), "market": str(node.market)}
    value = beside[fact] if fact in beside else getattr(node, fact)
    return plain(value).replace("\n", " ") if value else None


def _filled(text: str, nodes: Numbered) -> str | None:
    try:
        parts = _parts(text)
    except ValueError:
        return None
    values = [part if isinstance(part, str) else _value(part, nodes) for part in parts]
    return None if None in values else "".join(map(str, values))


def _value(reference: Reference, nodes: Numbered) -> str | None:
    node = nodes.get(reference.group, {}).get(reference.index)
    known = node is not None and reference.fact in FACTS
    return fact_of(node, reference.index, reference.fact) if node and known else None


def _parts(text: str) -> list[str | Reference]:
    """Raises ValueError, with what is wrong, for braces that hold no reference."""
    parts: list[str | Reference] = []
    last = 0
    for match in _PART.finditer(text):
        parts.append(text[last : match.start()])
        last = match.end()
        if match["brace"]:
            parts.append(match["brace"][0])
        elif match["alone"]:
            raise ValueError(f"{match['alone']!r} stands alone")
        elif found := _REFERENCE.fullmatch(match["inner"]):
            parts.append(Reference(found["group"], int(found["index"]), found["fact"]))
        else:
            raise ValueError(f"{match[0]!r} names no fact of a node")
    return [*parts, text[last:]]


def _objection(project: Project, name: str, text: str) -> tuple[str, str] | None:
    """What stands against an output, and what to do."""
    if not _NAME.fullmatch(name):
        return "is no name of an output", "lower case letters, digits and _, at most 40"
    try:
        parts = _parts(text)
    except ValueError as error:
        hint = "write {GROUP[INDEX].FACT}, such as {nodes[0].address}, and {{ for a brace"
        return str(error), hint
    for part in parts:
        if isinstance(part, Reference) and (found := _wrong(project, part)):
            return found
    return None


def _wrong(project: Project, reference: Reference) -> tuple[str, str] | None:
    group, index, fact = reference.group, reference.index, reference.fact
    if group not in project.groups:
        return f"there is no group {group!r}", near(group, project.groups)
    count = _count(project.groups[group])
    if index >= count:
        some = f"{group} has {counted(count, 'node')}"
        return f"{some}, so there is no {group}[{index}]", f"the last one is {group}[{count - 1}]"
    if fact not in FACTS:
        return f"nodes have no fact {fact!r}", near(fact, FACTS, "facts")
    return None


def _count(group: Project) -> int:
    """How many nodes the group is to have, of all providers together."""
    nodes = group.config.nodes
    return nodes.count * (len(group.providers) if nodes.placement == "each" else 1)


def near(text: str, known: Iterable[str], what: str = "groups") -> str:
    """What to do about a name that is not known."""
    names = list(known)
    found = nearest(text, names, 0.6)
    return f"did you mean {found}?" if found else f"{what}: {', '.join(names)}"
