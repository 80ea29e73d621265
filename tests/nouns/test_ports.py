"""Ports as people write them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.ports import ALL_PORTS, PortRange, merged

RANGES = st.builds(
    lambda first, length, protocol: PortRange.of(first, min(65535, first + length), protocol),
    st.integers(1, 65535),
    st.integers(0, 40),
    st.sampled_from(["tcp", "udp"]),
)


@pytest.mark.parametrize(
    ("written", "text", "first", "last", "protocol"),
    [
        (7946, "7946", 7946, 7946, "tcp"),
        ("7946/tcp", "7946", 7946, 7946, "tcp"),
        ("4222-4223/udp", "4222-4223/udp", 4222, 4223, "udp"),
        ("53-53/udp", "53/udp", 53, 53, "udp"),
        ("00022", "22", 22, 22, "tcp"),
        ("1-65535", "1-65535", 1, 65535, "tcp"),
    ],
)
def test_ports_are_read(written: object, text: str, first: int, last: int, protocol: str) -> None:
    found = PortRange(written)
    assert (found, found.first, found.last, found.protocol) == (text, first, last, protocol)
    assert found.ports == text.removesuffix("/udp")


@pytest.mark.parametrize(
    "written",
    [
        *(0, -1, 65536, True, None, 1.0, [80]),
        *("", "0", "65536", "9-3", "80/", "80/sctp", "80/UDP", "80-", "-80", "80 ", "80,81"),
        *("\u0663", "80\n", "1-2-3", "all", "9" * 5000),
    ],
)
def test_what_is_no_port_is_refused_with_what_would_be(written: object) -> None:
    with pytest.raises(ValueError, match=r'4222-4223/udp"$') as caught:
        PortRange(written)
    assert repr(written)[:90] in str(caught.value)


@given(ranges=st.lists(RANGES, max_size=12))
def test_merged_ranges_hold_the_same_ports_apart(ranges: list[PortRange]) -> None:
    found = merged(ranges)
    assert ports(found) == ports(ranges)
    for one, after in itertools.pairwise(found):
        assert one.protocol < after.protocol or one.last + 1 < after.first


def test_all_is_every_port_of_both_protocols() -> None:
    assert merged([PortRange("1-40000"), PortRange("40001-65535"), *ALL_PORTS]) == ALL_PORTS


def ports(ranges: list[PortRange] | tuple[PortRange, ...]) -> set[tuple[str, int]]:
    return {(one.protocol, port) for one in ranges for port in range(one.first, one.last + 1)}
