"""What nft is given to do, compared as text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_local.engine import Machine, MachineState
from spotdeploy_local.network.filters import opens, ruleset

MACHINE = Machine("a", "a", MachineState.RUNNING, "shop", "10.77.0.2", (), {}, 0.0)
OTHER = replace(MACHINE, id="z", address="10.77.0.9")
PORTS = tuple(map(PortRange, ("7946", "8000-8100", "53/udp")))


def accepted(machines: list[Machine]) -> list[str]:
    return [line.strip() for line in ruleset(machines).splitlines() if " daddr " in line]


def test_a_machine_lets_in_its_peers_on_the_ports_that_it_opens() -> None:
    other = replace(MACHINE, id="b", address="10.77.0.3", open_between=PORTS)
    assert accepted([MACHINE, other]) == [
        "ip saddr { 10.77.0.2 } ip daddr 10.77.0.3 tcp dport { 7946, 8000-8100 } accept",
        "ip saddr { 10.77.0.2 } ip daddr 10.77.0.3 udp dport { 53 } accept",
    ]


def test_a_machine_may_let_in_those_of_a_name_alone() -> None:
    one = replace(MACHINE, open_between=PORTS[:1], open_to="sg-1")
    member = replace(MACHINE, address="10.77.0.3", names=("sg-0", "sg-1"))
    stranger = replace(MACHINE, address="10.77.0.4", names=("sg-2",))
    assert accepted([one, member, stranger]) == [
        "ip saddr { 10.77.0.3 } ip daddr 10.77.0.2 tcp dport { 7946 } accept"
    ]
    assert accepted([one, stranger]) == []


def test_ping_gets_through_where_every_port_does() -> None:
    assert "icmp" in accepted([OTHER, replace(MACHINE, open_between=ALL_PORTS)])[-1]
    assert "icmp" not in "".join(accepted([OTHER, replace(MACHINE, open_between=ALL_PORTS[:1])]))


def test_what_opens_nothing_lets_nothing_through_but_answers() -> None:
    assert not opens([MACHINE])
    assert opens([MACHINE, replace(MACHINE, open_between=PORTS)])
    assert accepted([MACHINE]) == []
    assert "policy drop" in ruleset([MACHINE])


@pytest.mark.machines
@pytest.mark.parametrize("ports", [(), PORTS, ALL_PORTS])
def test_nft_takes_the_rules_in_the_place_of_others(
    tmp_path: Path, ports: tuple[PortRange, ...]
) -> None:
    assert shutil.which("nft"), "apt-get install nftables"
    text = ruleset([OTHER, replace(MACHINE, open_between=ports)])
    rules = tmp_path / "rules"
    rules.write_text(text)
    twice = ["sh", "-ec", 'nft -f "$0"; nft -f "$0"; nft list ruleset', str(rules)]
    command = ["unshare", "--net", *twice]
    listed = subprocess.run(command, text=True, check=True, capture_output=True).stdout
    assert listed.count(" daddr ") == text.count(" daddr ")
