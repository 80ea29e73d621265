"""What a cloud's rules let through, worked out from the rules alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spotdeploy.ports import ALL_PORTS, HIGHEST, PortRange, merged


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule says of the traffic that it is about."""

    allow: bool
    ranges: tuple[PortRange, ...]


def passing(rules: Iterable[Rule]) -> tuple[PortRange, ...]:
    """The ports that get through: of each, the first rule that names it decides, and without one it
    is shut."""
    left: Sequence[PortRange] = ALL_PORTS
    allowed: list[PortRange] = []
    for rule in rules:
        for one in rule.ranges:
            if rule.allow:
                allowed += [both for part in left if (both := _common(part, one))]
            left = [rest for part in left for rest in _without(part, one)]
    return merged(allowed)


def ranges(protocol: str, ports: Iterable[str] = ()) -> tuple[PortRange, ...]:
    """The ranges of a rule: `protocol` as clouds spell it, `ports` such as "22" and "80-90", all
    when there are none."""
    kinds = ("tcp", "udp") if protocol.lower() in ("all", "*", "-1") else (protocol.lower(),)
    parts = [one for one in ports if one != "*"] or [f"1-{HIGHEST}"]
    return tuple(
        PortRange(f"{part}/{kind}") for kind in kinds if kind in ("tcp", "udp") for part in parts
    )


def _common(one: PortRange, other: PortRange) -> PortRange | None:
    first, last = max(one.first, other.first), min(one.last, other.last)
    if one.protocol != other.protocol or first > last:
        return None
    return PortRange.of(first, last, one.protocol)


def _without(one: PortRange, other: PortRange) -> list[PortRange]:
    both = _common(one, other)
    if both is None:
        return [one]
    sides = [(one.first, both.first - 1), (both.last + 1, one.last)]
    return [PortRange.of(*side, one.protocol) for side in sides if side[0] <= side[1]]
