"""Machines reach of one another what is open, and are reached; nothing gets out."""

from __future__ import annotations

import itertools
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.errors import ConfigError, HostError
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_local.network.commands import mac
from tests.providers.local.nspawn_bench import Bench, connect

pytestmark = pytest.mark.machines

_GREETER = """
import socket
server = socket.create_server(("169.254.169.254", 80))
print("ready", flush=True)
while True:
    server.accept()[0].sendall(b"metadata\\n")
"""


def test_starts_from_two_threads_never_share_an_address(bench: Bench) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: bench.engine.start(bench.spec(name)), "abcd"))
    assert len({machine.address for machine in bench.engine.machines()}) == 4


SSH = (PortRange("22"),)


def test_machines_reach_one_another_by_the_private_addresses_that_let_them_in(
    bench: Bench,
) -> None:
    bench.start(
        bench.spec("one", open_between=SSH, names=("ours", "too")),
        bench.spec("two", open_between=SSH, names=("ours",), extra_addresses=("54.214.10.3",)),
        bench.spec("far", open_between=SSH, address="172.31.4.9", extra_addresses=("34.9.9.9",)),
        bench.spec("shut"),
        bench.spec("picky", open_between=ALL_PORTS, open_to="ours"),
    )
    addresses = {name: bench.machine(name).address for name in ("one", "two", "far")}
    for source, address in itertools.product(addresses, addresses.values()):
        assert bench.run(source, _shell(connect(address, 22))).startswith("SSH-2.0")
    for source, target in (("shut", "one"), ("picky", "one"), ("one", "picky"), ("two", "picky")):
        assert bench.reaches(source, target, SSH[0]), (source, target)
    for source, target in (("one", "shut"), ("far", "picky"), ("shut", "picky")):
        assert not bench.reaches(source, target, SSH[0]), (source, target)
    assert not bench.reaches("one", "two", SSH[0], address="54.214.10.3")
    assert not bench.reaches("one", "two", PortRange("23"))
    for address in (*addresses.values(), "54.214.10.3", bench.machine("shut").address):
        assert bench.in_switch(*connect(address, 22)).startswith("SSH-2.0")


def test_what_a_later_machine_opens_is_its_own_and_goes_with_it(bench: Bench) -> None:
    bench.start(bench.spec("one"), bench.spec("two"))
    assert not bench.reaches("one", "two", SSH[0])
    (later,) = bench.start(bench.spec("later", open_between=ALL_PORTS))
    assert bench.reaches("one", "later", PortRange("22"))
    assert bench.reaches("two", "later", PortRange("5353/udp"))
    assert bench.pings("two", "later")
    assert not bench.reaches("later", "one", SSH[0])
    assert not bench.pings("later", "one")
    bench.engine.destroy(["later"])
    (heir,) = bench.start(bench.spec("heir"))
    assert heir.address == later.address
    assert not bench.reaches("one", "heir", SSH[0])


def test_a_machine_cannot_go_round_the_switch(bench: Bench) -> None:
    bench.start(bench.spec("one"), bench.spec("two"))
    two = bench.machine("two").address
    for command in (
        f"ip route add {two} via 10.77.0.1",
        f"ip neigh replace {two} dev eth0 lladdr {mac(two)}",
    ):
        bench.run("one", command)
        assert not bench.reaches("one", "two", SSH[0])


def test_a_network_has_no_way_out(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    failed = bench.ssh("one", _shell(connect("192.0.2.1", 80)))
    assert "No route to host" in failed.stderr


def test_without_nft_machines_boot_as_long_as_nothing_is_open_between_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.start(bench.spec("one"))
    networks = bench.engine.lifecycle.networks()
    networks.ensure("other")
    switch = bench.engine.layout.switch("other")
    forwarding = ["nsenter", f"--net={switch}", "cat", "/proc/sys/net/ipv4/ip_forward"]
    one = bench.machine("one")
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        networks.filter("other", [one])
        with pytest.raises(HostError, match="cannot open ports between machines: nft is missing"):
            networks.filter("other", [replace(one, open_between=SSH)])
    assert subprocess.run(forwarding, check=True, capture_output=True).stdout == b"0\n"
    networks.filter("other", [one])
    assert subprocess.run(forwarding, check=True, capture_output=True).stdout == b"1\n"


def test_two_networks_share_no_address_and_never_meet(bench: Bench) -> None:
    bench.start(
        bench.spec("here", publish=(22,)), bench.spec("there", network="other", publish=(22,))
    )
    here, there = bench.machine("here"), bench.machine("there")
    assert here.address != there.address
    assert not bench.reaches("here", "there", SSH[0])
    assert here.published_address != there.published_address
    assert bench.run("here", "hostname") == "here"
    assert bench.run("there", "hostname") == "there"


def test_machines_of_a_network_find_one_another_by_name_as_long_as_they_are_there(
    bench: Bench,
) -> None:
    bench.start(bench.spec("one"), bench.spec("two", address="10.0.3.7"))
    bench.start(bench.spec("stranger", network="other"))
    for source, target in (("one", "two"), ("two", "one")):
        address = bench.machine(target).address
        assert bench.run(source, f"getent ahostsv4 {target}").split()[0] == address
        assert bench.run(source, f"getent hosts {address}").split() == [address, target]
    assert bench.ssh("one", "getent hosts stranger").returncode != 0
    bench.engine.stop(["two"])
    assert bench.run("one", "getent hosts two").split() == ["10.0.3.7", "two"]
    bench.engine.destroy(["two"])
    assert bench.ssh("one", "getent hosts two").returncode != 0
    bench.start(bench.spec("two"))
    assert bench.run("one", "getent hosts two").split()[0] == bench.machine("two").address


def test_a_held_network_serves_its_machines_and_outlives_them(bench: Bench) -> None:
    file = bench.engine.hold_network("bench")
    bench.in_switch("ip", "address", "add", "169.254.169.254/32", "dev", "br0")
    with subprocess.Popen(
        ["nsenter", f"--net={file}", sys.executable, "-c", _GREETER], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout
        server.stdout.readline()
        bench.start(bench.spec("one"))
        assert bench.run("one", _shell(connect("169.254.169.254", 80))) == "metadata"
        server.kill()
    bench.engine.destroy(["one"])
    assert file.exists()
    bench.engine.drop_network("bench")
    assert bench.remains() == []


def test_published_ports_are_offered_on_a_loopback_address_of_the_host(bench: Bench) -> None:
    (machine,) = bench.start(bench.spec("one", publish=(22, 8080)))
    assert machine.published_address
    with socket.create_connection((machine.published_address, 22), timeout=5) as connection:
        assert connection.recv(7) == b"SSH-2.0"
    with socket.create_connection((machine.published_address, 8080), timeout=5) as connection:
        assert connection.recv(7) == b""


def test_a_port_that_is_taken_on_one_address_is_published_on_the_next(bench: Bench) -> None:
    with socket.create_server(("127.77.0.2", 7707)), socket.create_server(("127.77.1.2", 7707)):
        (machine,) = bench.start(bench.spec("one", publish=(7707,)))
    assert machine.published_address == "127.77.2.2"


def test_a_port_that_is_taken_everywhere_is_left_out_and_the_console_says_so(
    bench: Bench,
) -> None:
    with socket.create_server(("0.0.0.0", 7708)):
        (machine,) = bench.start(bench.spec("one", publish=(22, 7708)))
    assert machine.published_address
    with socket.create_connection((machine.published_address, 22), timeout=5) as connection:
        assert connection.recv(7) == b"SSH-2.0"
    assert "ports [7708] are taken on this host" in bench.engine.console("one")


def test_dialling_a_missing_machine_or_a_closed_port_is_an_oserror(bench: Bench) -> None:
    with pytest.raises(OSError, match="there is no machine never"):
        bench.engine.dial("never", 22, timeout=1.0)
    bench.start(bench.spec("one"))
    with pytest.raises(ConnectionRefusedError):
        bench.engine.dial("one", 9, timeout=1.0)


def test_a_hundred_dials_from_many_threads_all_connect(bench: Bench) -> None:
    bench.start(bench.spec("one", "printf 'MaxStartups 200\\n' > /etc/ssh/sshd_config.d/x.conf"))
    ours = Path("/proc/self/ns/net").readlink()
    with ThreadPoolExecutor(20) as pool:
        connections = list(pool.map(lambda _: bench.engine.dial("one", 22, 10.0), range(100)))
    assert len({connection.getsockname() for connection in connections}) == 100
    for connection in connections:
        connection.close()
    assert Path("/proc/self/ns/net").readlink() == ours


def test_a_taken_address_is_refused_and_nothing_is_made(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    address = bench.machine("one").address
    with pytest.raises(ConfigError, match=f"'two': address {address} is taken in network bench"):
        bench.engine.start(bench.spec("two", address=address))
    assert [machine.id for machine in bench.engine.machines()] == ["one"]


def _shell(command: Sequence[str]) -> str:
    return shlex.join(command)
