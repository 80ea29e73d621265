"""How commands print: tables, JSON, and the table of `spotdeploy list`."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Sequence

from spotdeploy.duration import spell
from spotdeploy.labels import expires_at, group_of
from spotdeploy.model import DEFAULT_GROUP, Node
from spotdeploy.run.cost import Cost, PaidTime, total
from spotdeploy.text import below, counted

HEADER = (
    *("NODE", "PROVIDER", "PLACE", "SIZE", "MARKET", "STATE", "ADDRESS", "PAYLOAD"),
    *("AGE", "COST", "ENDS IN"),
)
EXPIRED = "expired"


def show_nodes(
    nodes: Sequence[Node], groups: Collection[str], *, as_json: bool, now: float | None = None
) -> None:
    """Print the nodes as a plain table, or as JSON. `groups` are those that the config names;
    which one a node is of is a column where that says anything."""
    now = time.time() if now is None else now
    if as_json:
        text = json_text([_data(node, now) for node in nodes])
    elif not nodes:
        text = "no nodes"
    else:
        rows = [row(node, now) for node in nodes]
        text = table([HEADER, *rows])
        if {group_of(node.labels) for node in nodes} != {DEFAULT_GROUP} or len(groups) > 1:
            cells = ["GROUP", *(_group(node, groups) for node in nodes)]
            both = zip(cells, [HEADER, *rows], strict=True)
            text = table([(one[0], cell, *one[1:]) for cell, one in both])
        text += f"\n\n{_in_all(nodes, now)}"
        if any(cells[-1] == EXPIRED for cells in rows):
            from spotdeploy.phases.reap import GRACE  # no other table needs it

            text += f"\n\n{EXPIRED}: it should have ended itself; spotdeploy reap ends it "
            text += f"once that was {spell(GRACE)} ago"
    sys.stdout.write(text + "\n")


def _data(node: Node, now: float) -> dict[str, object]:
    import msgspec

    cost = cost_so_far([node], now)
    return {
        **msgspec.structs.asdict(node),
        "group": group_of(node.labels),
        "age_seconds": None if node.created_at is None else round(cost.node_seconds, 1),
        "usd_so_far": cost.usd if cost.known else None,
    }


def cost_so_far(nodes: Iterable[Node], now: float) -> Cost:
    """What nodes cost since they were made, by the clock of this computer. Of one that does not say
    when that was, nothing is known."""
    return total(
        PaidTime(
            node.provider,
            max(0.0, now - node.created_at) if node.created_at is not None else 0.0,
            node.usd_per_hour if node.created_at is not None or not node.usd_per_hour else None,
        )
        for node in nodes
    )


def _in_all(nodes: Sequence[Node], now: float) -> str:
    cost = cost_so_far(nodes, now)
    return f"{counted(len(nodes), 'node')}, {age(cost.node_seconds)} of node time, {cost} so far"


def age(seconds: float) -> str:
    """A time in whole minutes, and below one in seconds: "41m", "8s"."""
    return spell(seconds // 1 if seconds < 60 else 60 * (seconds // 60))


def _group(node: Node, groups: Collection[str]) -> str:
    name = group_of(node.labels)
    return name if name in groups else f"{name} (not in the config)"


def prefix(group: str) -> str:
    """A group and a colon, to begin a line about it; empty where the config names no groups."""
    return f"{group}: " if group not in ("", DEFAULT_GROUP) else ""


def row(node: Node, now: float) -> tuple[str, ...]:
    """One node's cells."""
    return (
        node.name,
        node.provider,
        node.zone or node.location,
        node.size or "-",
        str(node.market),
        str(node.state),
        node.address or "-",
        node.labels.get("spotdeploy-digest", "-")[:12],
        "-" if node.created_at is None else age(max(0.0, now - node.created_at)),
        str(cost_so_far([node], now)),
        ends_in(node, now),
    )


def ends_in(node: Node, now: float) -> str:
    """How long until the node's time to live ends: "41m", "expired" or "-" when unknown."""
    moment = expires_at(node.labels)
    if moment is None:
        return "-"
    return age(moment - now) if moment > now else EXPIRED


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)
    return "\n".join(lines)


def verdict_text(verdict: str, message: str, left: Sequence[str]) -> str:
    """The verdict and why. What could not be proven gone stands whole, one line each: a command
    that is cut, or only named for some, ends nothing."""
    from spotdeploy.events import LONGEST  # not for `list`: it takes a while to import

    if left:
        lines = (f"  {below(what, limit=LONGEST)}" for what in left)
        return "\n".join((f"{verdict.upper()}: not proven gone:", *lines))
    return f"{verdict.upper()}{': ' if message else ''}{below(message, limit=LONGEST)}"


def json_text(data: object) -> str:
    """Data as indented JSON, for standard output."""
    import msgspec

    from spotdeploy.cli.streams import printed_json

    return printed_json(msgspec.json.format(msgspec.json.encode(data)).decode(), sys.stdout)
