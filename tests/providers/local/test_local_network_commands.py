"""What `ip` is given to do, compared as text."""

from __future__ import annotations

import pytest

from spotdeploy_local.network import commands


def test_a_machine_in_the_subnet_reaches_its_neighbours_directly() -> None:
    assert commands.machine_commands("10.77.0.5", ["54.214.10.3"]).splitlines() == [
        "link set lo up",
        "address add 10.77.0.5/16 dev eth0",
        "address add 54.214.10.3/32 dev eth0",
        "link set eth0 up",
        "route add default via 10.77.0.1 dev eth0 src 10.77.0.5",
    ]


def test_a_machine_outside_the_subnet_goes_through_the_switch() -> None:
    lines = commands.machine_commands("172.31.4.9", []).splitlines()
    assert "address add 172.31.4.9/32 dev eth0" in lines
    assert "route add 10.77.0.1 dev eth0" in lines
    assert "route replace 172.31.4.9/32 dev br0" in commands.port_commands("172.31.4.9", [])
    assert "route" not in commands.port_commands("10.77.0.5", [])


def test_an_interface_has_a_fixed_name_and_hardware_address() -> None:
    assert commands.port_name("255.255.255.255") == "mffffffff"
    assert commands.mac("10.77.0.5") == "02:4d:0a:4d:00:05"


def test_a_free_address_is_not_the_gateway_nor_in_use_nor_in_another_network_s_block() -> None:
    assert commands.free_address({"10.77.0.2"}, []) == "10.77.0.3"
    assert commands.free_address(set(), [commands.block("10.77.0.9")]) == "10.77.1.1"
    everything = list(commands.SUBNET.subnets(new_prefix=commands.BLOCK))
    with pytest.raises(OverflowError, match=r"10\.77\.0\.0/16 is full"):
        commands.free_address(set(), everything)
