"""Networks as people write them: "203.0.113.0/24", "2001:db8::/32", or one address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network that a text names; one address is a network of itself.

    Bits behind the prefix are dropped, as EC2, iptables and ufw do: "203.0.113.7/24" is
    "203.0.113.0/24". Raises ValueError, with how to write one, when the text names none.
    """
    complaint = f'{text!r} is not a network; write it like "203.0.113.0/24" or "203.0.113.7"'
    if "%" in text:  # the zone of a link-local address means nothing to a cloud
        raise ValueError(complaint)
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(complaint) from error


def collapse(texts: Iterable[str]) -> tuple[str, ...]:
    """The fewest networks that hold the same addresses, IPv4 first, each in its canonical form: a
    cloud may refuse one that is named twice or lies in another. Raises what `network` raises."""
    networks = [network(text) for text in texts]
    v4 = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    v6 = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    fewest = *ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)
    return tuple(map(str, fewest))
