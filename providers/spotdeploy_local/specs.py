"""What machines are to be: their values are checked, and names and addresses given out, before
anything is made."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from itertools import count

from msgspec.structs import replace

from spotdeploy.errors import ConfigError
from spotdeploy_local.engine import Machine, MachineSpec
from spotdeploy_local.network.commands import GATEWAY, block, free_address

_ID = re.compile(r"[a-z0-9_-]{1,100}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_specs(specs: Sequence[MachineSpec]) -> None:
    """Raises ConfigError naming the machine and the value."""
    for spec in specs:
        if problem := next(_problems(spec), None):
            raise ConfigError(f"machine {spec.id!r}: {problem}", hint="see spotdeploy_local.engine")


def assign_names(specs: Sequence[MachineSpec], existing: Sequence[Machine]) -> list[MachineSpec]:
    """The machines with their host names. Whoever calls this holds the engine's lock until they
    exist: groups of a deployment are made at the same time, in one network."""
    used: dict[str, set[str]] = defaultdict(set)
    for machine in existing:
        used[machine.network].add(machine.name)
    for spec in specs:
        if not spec.numbered:
            used[spec.network].add(spec.name)
    return [_numbered(spec, used[spec.network]) if spec.numbered else spec for spec in specs]


def _numbered(spec: MachineSpec, taken: set[str]) -> MachineSpec:
    names = (f"{spec.name}-{number}" for number in count(1))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return replace(spec, name=name, numbered=False)


def assign_addresses(
    specs: Sequence[MachineSpec], existing: Sequence[Machine]
) -> list[tuple[MachineSpec, str]]:
    """Each machine with its private address, none used twice in a network. Those that are given out
    here are on no other machine of this host: a deployment that is told another's address must not
    find itself there.

    Raises ConfigError when a requested address is taken.
    """
    used: dict[str, set[str]] = defaultdict(lambda: {str(GATEWAY)})
    blocks: dict[str, set[IPv4Network]] = defaultdict(set)
    for machine in existing:
        used[machine.network].update((machine.address, *machine.extra_addresses))
        blocks[machine.network].add(block(machine.address))
    assigned: dict[str, str] = {}
    for spec in sorted(specs, key=lambda spec: spec.address is None):
        taken = used[spec.network]
        foreign = [blocks[name] for name in blocks if name != spec.network]
        address = spec.address or free_address(taken, set().union(*foreign))
        blocks[spec.network].add(block(address))
        for requested in (address, *spec.extra_addresses):
            if requested in taken:
                raise ConfigError(
                    f"machine {spec.id!r}: address {requested} is taken in network {spec.network}"
                )
            taken.add(requested)
        assigned[spec.id] = address
    return [(spec, assigned[spec.id]) for spec in specs]


def _problems(spec: MachineSpec) -> Iterator[str]:
    for what, value in (("id", spec.id), ("network", spec.network)):
        if not _ID.fullmatch(value):
            yield f"{what} {value!r} is not 1 to 100 characters of a-z, 0-9, _ and -"
    if not _HOST.fullmatch(spec.name):
        yield f"name {spec.name!r} is not a host name of 1 to 63 characters of a-z, 0-9 and -"
    for address in (spec.address, *spec.extra_addresses):
        if address is not None and not _is_address(address):
            yield f"{address!r} is not an IPv4 address"
    for port in spec.publish:
        if not 0 < port < 65536:
            yield f"port {port} is not in 1 to 65535"
    for bind in spec.binds:
        if not bind.source.exists():
            yield f"bind source {bind.source} does not exist"
    for name in spec.files:
        if not name.startswith("/") or ".." in name.split("/"):
            yield f"file {name!r} is not an absolute path"
    if spec.time_to_live is not None and spec.time_to_live <= 0:
        yield f"time to live {spec.time_to_live:g} s is not above 0"


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
