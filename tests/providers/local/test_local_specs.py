"""What no machine can be is refused, and no address is given out twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.errors import ConfigError
from spotdeploy_local.engine import Bind, Machine, MachineSpec, MachineState
from spotdeploy_local.specs import assign_addresses, assign_names, check_specs

SPEC = MachineSpec(id="one", name="one")


def machine(address: str, network: str = "default") -> Machine:
    return Machine("old", "old", MachineState.STOPPED, network, address, (), {}, 0.0)


def test_requested_addresses_are_kept_and_the_others_go_around_them() -> None:
    specs = [
        replace(SPEC, id="a"),
        replace(SPEC, id="b", address="10.77.0.2"),
        replace(SPEC, id="c", network="else"),
    ]
    existing = [machine("10.77.0.3")]
    assigned = {one.id: address for one, address in assign_addresses(specs, existing)}
    assert assigned == {"a": "10.77.0.4", "b": "10.77.0.2", "c": "10.77.1.1"}


def test_numbers_of_names_skip_those_that_a_network_has() -> None:
    web = replace(SPEC, name="web", numbered=True)
    specs = [replace(web, id="a"), replace(web, id="b"), replace(SPEC, id="c", name="web-4")]
    elsewhere = replace(web, id="d", network="else")
    existing = [replace(machine("10.77.0.3"), name="web-2")]
    named = assign_names([*specs, elsewhere], existing)
    assert [(one.id, one.name) for one in named] == [
        *(("a", "web-1"), ("b", "web-3"), ("c", "web-4"), ("d", "web-1"))
    ]
    assert assign_names(named, existing) == named


def test_no_two_networks_are_given_addresses_in_one_block() -> None:
    names = ("red", "blue", "red", "green", "blue", "red")
    specs = [replace(SPEC, id=str(n), network=name) for n, name in enumerate(names)]
    assigned = assign_addresses(specs, [machine("10.77.1.9", "blue"), machine("10.77.2.1")])
    assert [address for _, address in assigned] == [
        *("10.77.0.2", "10.77.1.1", "10.77.0.3", "10.77.3.1", "10.77.1.2", "10.77.0.4")
    ]
    full = [replace(SPEC, id=str(number)) for number in range(253 + 2)]
    addresses = [address for _, address in assign_addresses(full, [machine("10.77.1.9", "blue")])]
    assert addresses[-3:] == ["10.77.0.254", "10.77.2.1", "10.77.2.2"]


def test_an_address_that_is_asked_for_may_be_that_of_another_network() -> None:
    asked = replace(SPEC, network="else", address="10.77.0.3")
    assert [address for _, address in assign_addresses([asked], [machine("10.77.0.3")])] == [
        "10.77.0.3"
    ]


@pytest.mark.parametrize("address", ["10.77.0.1", "10.77.0.3"])
def test_the_gateway_s_or_a_neighbour_s_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=f"address {address} is taken in network default"):
        assign_addresses([replace(SPEC, address=address)], [machine("10.77.0.3")])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"id": ""}, "id ''"),
        ({"id": "../up"}, r"id '\.\./up'"),
        ({"id": "a" * 101}, "1 to 100 characters"),
        ({"name": "under_score"}, "is not a host name"),
        ({"name": "-x"}, "is not a host name"),
        ({"network": "a/b"}, "network 'a/b'"),
        ({"address": "10.77.0.300"}, r"'10\.77\.0\.300' is not an IPv4 address"),
        ({"extra_addresses": ("::1",)}, "'::1' is not an IPv4 address"),
        ({"publish": (0,)}, "port 0 is not in 1 to 65535"),
        ({"publish": (65536,)}, "port 65536"),
        ({"binds": (Bind(Path("/nowhere"), "/x"),)}, "bind source /nowhere does not exist"),
        ({"files": {"relative": b""}}, "file 'relative' is not an absolute path"),
        ({"files": {"/a/../../b": b""}}, "is not an absolute path"),
        ({"time_to_live": 0.0}, "time to live 0 s is not above 0"),
    ],
)
def test_a_value_no_machine_can_have_is_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_specs([replace(SPEC, **wrong)])
