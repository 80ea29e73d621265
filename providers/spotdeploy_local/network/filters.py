"""What machines of a network reach of one another, as rules for nft: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spotdeploy.ports import is_all
from spotdeploy_local.engine import Machine

_TABLE = "table ip spotdeploy"


def opens(machines: Iterable[Machine]) -> bool:
    """True when one of these lets another one in."""
    return any(machine.open_between for machine in machines)


def ruleset(machines: Sequence[Machine]) -> str:
    """The text for `nft -f`, which puts it in the place of an earlier one at once. The switch
    forwards nothing between machines but what it says, and the answers."""
    rules = "".join(f"    {rule}\n" for rule in openings(machines))
    return (
        f"{_TABLE} {{}}\n"
        f"delete {_TABLE}\n"
        f"{_TABLE} {{\n"
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy drop;\n"
        "    ct state established,related accept\n"
        f"{rules}"
        "  }\n"
        "}\n"
    )


def openings(machines: Sequence[Machine]) -> Iterator[str]:
    """A rule for each opening of these machines: who may come in, and where."""
    for machine in machines:
        if sources := _sources(machine, machines):
            way = f"ip saddr {{ {', '.join(sources)} }} ip daddr {machine.address}"
            yield from (f"{way} {rule}" for rule in _rules(machine))


def _sources(target: Machine, machines: Sequence[Machine]) -> list[str]:
    """The addresses of those that it lets in."""
    to = target.open_to
    return [one.address for one in machines if one is not target and (not to or to in one.names)]


def _rules(machine: Machine) -> Iterator[str]:
    for protocol in ("tcp", "udp"):
        ports = [one.ports for one in machine.open_between if one.protocol == protocol]
        if ports:
            yield f"{protocol} dport {{ {', '.join(ports)} }} accept"
    if is_all(machine.open_between):
        yield "icmp type echo-request accept"
