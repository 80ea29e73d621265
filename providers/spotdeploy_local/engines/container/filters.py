"""What containers of a network reach of one another: rules of nft's on this host, where nothing in
a container can change them.

They look at what this host carries between containers, and never at what it sends or takes in. They
keep no track of connections, which few kernels do for bridges: what answers is known by its
flags or its port.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spotdeploy.model import Problem
from spotdeploy_local.engine import Machine
from spotdeploy_local.network.filters import openings
from spotdeploy_local.network.nft import run_nft

_KINDS = ("bridge", "ip")
_OURS = "10.78.0.0/15"
"""Where the networks of all container engines are."""
_BRIDGED: Final = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""Says 1 where what bridges carry passes the rules for what is forwarded, too."""
_ANSWERS = (
    "tcp flags & (syn | ack) != syn accept",
    "icmp type { echo-reply, destination-unreachable, time-exceeded } accept",
)


@dataclass(frozen=True, slots=True)
class Filters:
    """The tables of one state folder and engine, a table for each network."""

    program: str
    key: str

    @property
    def is_there(self) -> bool:
        return shutil.which("nft") is not None

    def apply(self, network: str, subnet: str, machines: Sequence[Machine]) -> None:
        """Let the machines of a network, which are given, reach of one another what they open, and
        nothing else. Raises HostError, with nft's own words."""
        _nft(ruleset(self._table(network), subnet, machines))

    def remove(self, networks: Iterable[str]) -> None:
        """Forget networks; a missing one is success."""
        there = self.networks()
        tables = [self._table(network) for network in networks if network in there]
        if text := "".join(f"delete table {kind} {one}\n" for one in tables for kind in _KINDS):
            _nft(text)

    def networks(self) -> set[str]:
        """The networks that have a table."""
        done = subprocess.run(
            ["nft", "--json", "list", "tables", "bridge"], capture_output=True, check=False
        )
        found = json.loads(done.stdout)["nftables"] if done.returncode == 0 else []
        names = [entry["table"]["name"] for entry in found if "table" in entry]
        prefix = self._table("")
        return {
            name.removeprefix(prefix).replace(".", "-") for name in names if name.startswith(prefix)
        }

    def manual_delete_command(self, network: str) -> str:
        return "; ".join(f"nft delete table {kind} {self._table(network)}" for kind in _KINDS)

    def _table(self, network: str) -> str:
        """nft's names have no hyphen, and networks' no dot."""
        return f"spotdeploy.{self.program}.{self.key}.{network.replace('-', '.')}"


def ruleset(table: str, subnet: str, machines: Sequence[Machine]) -> str:
    """The text for `nft -f`, which puts it in the place of an earlier one at once: what bridges
    carry within the network, and what this host forwards from it to other ones of ours."""
    inside = f"ip saddr {subnet} ip daddr {subnet}"
    between = [
        *(f"{inside} {rule}" for rule in _ANSWERS),
        *openings(machines),
        *_answers(machines),
        f"{inside} drop",
    ]
    apart = [f"ip saddr {subnet} ip daddr != {subnet} ip daddr {_OURS} drop"]
    return _table_text("bridge", table, between) + _table_text("ip", table, apart)


def _table_text(kind: str, name: str, rules: Sequence[str]) -> str:
    return (
        f"table {kind} {name} {{}}\n"
        f"delete table {kind} {name}\n"
        f"table {kind} {name} {{\n"
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        + "".join(f"    {rule}\n" for rule in rules)
        + "  }\n}\n"
    )


def _answers(machines: Sequence[Machine]) -> Iterator[str]:
    """What a machine sends from its open UDP ports."""
    for machine in machines:
        ports = [one.ports for one in machine.open_between if one.protocol == "udp"]
        others = [one.address for one in machines if one is not machine]
        if ports and others:
            to = f"ip daddr {{ {', '.join(others)} }}"
            yield f"ip saddr {machine.address} {to} udp sport {{ {', '.join(ports)} }} accept"


def dropped(netavark: str, bridged: Path = _BRIDGED) -> list[Problem]:
    """A warning, where other rules drop all that podman's machines send to one another: docker and
    ufw drop what is forwarded and not theirs, and a netavark that keeps its rules in a table of its
    own opens nothing in theirs. `netavark` is that program; an older one opens their chain."""
    if not bridged.is_file() or bridged.read_text().strip() != "1":
        return []
    if _printed(netavark, "version").get("default_fw_driver") != "nftables":
        return []
    listed = _printed("nft", "--json", "list", "chains").get("nftables", [])
    accepted = f"ip saddr {_OURS} ip daddr {_OURS}"
    return [
        Problem(
            f"nodes of podman reach nothing of one another here: {chain} drops what is forwarded, "
            "as docker and ufw have it",
            f"nft insert rule {chain} {accepted} accept",
            fatal=False,
        )
        for chain in dropping(listed)
        if accepted not in _text("nft", "list", "chain", *chain.split())
    ]


def dropping(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The chains for what is forwarded that drop what no rule accepts, from `nft list chains`."""
    chains = [entry["chain"] for entry in listed if "chain" in entry]
    return [
        f"{one['family']} {one['table']} {one['name']}"
        for one in chains
        if one["family"] in ("ip", "inet")
        and (one.get("hook"), one.get("policy")) == ("forward", "drop")
    ]


def _printed(*command: str) -> Mapping[str, Any]:
    """The object that a command prints as JSON; empty when it prints none."""
    try:
        found = json.loads(_text(*command))
    except ValueError:  # a netavark before 1.4 says its version in words
        return {}
    return found if isinstance(found, dict) else {}


def _text(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _nft(text: str) -> None:
    run_nft(
        text,
        "keep machines apart",
        "use a kernel whose nf_tables filters bridges, or remove nftables",
    )
