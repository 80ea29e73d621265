"""What a supervisor is told to do, compared as text."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError, HostError
from spotdeploy_local import specs
from spotdeploy_local.engine import Bind, Machine, MachineSpec, MachineState
from spotdeploy_local.engines.nspawn import launch, plan, supervisor
from spotdeploy_local.linux import cgroups, host
from spotdeploy_local.machine_dir import locks, read, write
from spotdeploy_local.network import commands
from spotdeploy_local.specs import assign_addresses

HYBRID = """\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 / /mnt/again rw,relatime - cgroup2 cgroup2 rw
22 27 0:21 / /proc rw,relatime - proc proc rw
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def spec(**more: object) -> MachineSpec:
    return MachineSpec(**({"id": "one", "name": "one"} | more))  # type: ignore[arg-type]


def machine(address: str, network_name: str = "default") -> Machine:
    return Machine("old", "old", MachineState.STOPPED, network_name, address, (), {}, 0.0)


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


def test_free_addresses_skip_the_gateway_and_those_in_use() -> None:
    assert commands.free_addresses({"10.77.0.3"}, 2) == ["10.77.0.2", "10.77.0.4"]
    everything = {str(address) for address in commands.SUBNET}
    with pytest.raises(OverflowError, match=r"10\.77\.0\.0/16 is full"):
        commands.free_addresses(everything, 1)


def test_wanted_addresses_are_kept_and_the_others_go_around_them() -> None:
    specs = [spec(id="a"), spec(id="b", address="10.77.0.2"), spec(id="c", network="else")]
    there = [machine("10.77.0.3")]
    assigned = {one.id: address for one, address in assign_addresses(specs, there)}
    assert assigned == {"a": "10.77.0.4", "b": "10.77.0.2", "c": "10.77.0.2"}


@pytest.mark.parametrize("address", ["10.77.0.1", "10.77.0.3"])
def test_the_gateway_s_or_a_neighbour_s_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=f"address {address} is taken in network default"):
        assign_addresses([spec(address=address)], [machine("10.77.0.3")])


def test_the_container_joins_its_groups_and_then_becomes_nspawn() -> None:
    binds = (Bind(Path("/a:b"), "/c"), Bind(Path("/d"), "/e", read_only=False))
    machine = spec(binds=binds)
    command = plan.container_command(machine, Path("/state/one"), ["/cg/cgroup.procs"])
    assert command[:2] == ["/bin/sh", "-ec"]
    assert command[3:7] == ["sh", "/cg/cgroup.procs", "--", "systemd-nspawn"]
    assert "--directory=/state/one/root" in command
    assert "--network-namespace-path=/proc/1/ns/net" in command
    assert command[-2:] == ["--bind-ro=/a\\:b:/c", "--bind=/d:/e"]


def test_published_ports_start_at_an_address_that_ends_like_the_machine_s() -> None:
    addresses = plan.publish_addresses("10.77.0.5")
    assert addresses[:2] == ["127.77.0.5", "127.77.1.5"]
    assert len(addresses) == 256


def test_a_supervisor_imports_next_to_nothing() -> None:
    code = launch.supervisor_command(Path("/x"), 3)[4].replace("; main()", "")
    heavy = ("pluggy", "msgspec", "dataclasses", "subprocess", "typing", "pathlib", "asyncio")
    told = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"{code}; print([m for m in {heavy} if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "[]\n"


def test_listing_machines_imports_nothing_that_changes_them() -> None:
    heavy = ("filelock", "subprocess", "concurrent.futures", "hashlib", "asyncssh", "libcloud")
    code = (
        "import sys; from spotdeploy_local.provider import LocalProvider as P;"
        " P(P.Config(), 'local').nodes({'a': 'b'});"
        f" print([m for m in {heavy} if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_each_mounted_hierarchy_is_used_once() -> None:
    found = cgroups.hierarchies(HYBRID)
    assert [(tree.root.name, tree.unified) for tree in found] == [
        ("cpu", False),
        ("systemd", False),
        ("unified", True),
    ]
    assert cgroups.hierarchies(UNIFIED) == (
        cgroups.Hierarchy(Path("/sys/fs/cgroup"), unified=True),
    )


def test_only_version_2_puts_supervisor_and_container_into_leaves_of_their_own() -> None:
    groups = cgroups.Groups("ours", cgroups.hierarchies(HYBRID))
    assert groups.procs_files("one", "node") == [
        "/sys/fs/cgroup/cpu/ours/one/cgroup.procs",
        "/sys/fs/cgroup/systemd/ours/one/cgroup.procs",
        "/sys/fs/cgroup/unified/ours/one/node/cgroup.procs",
    ]


def test_first_files_name_the_machine_and_give_it_an_id_of_its_own() -> None:
    files = write.first_files(spec(name="web-1", user_data=b"hook"), "10.77.0.5")
    assert files["/etc/hostname"] == b"web-1\n"
    assert b"10.77.0.5 web-1\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == b""
    assert files["/var/lib/spotdeploy/user-data"] == b"hook"
    assert write.machine_id("one") != write.machine_id("two")


def test_cloud_init_gets_its_seed_or_the_metadata_server() -> None:
    seeded = write.first_files(spec(cloud_init=True, user_data=b"#cloud-config"), "10.77.0.5")
    assert seeded["/var/lib/cloud/seed/nocloud/user-data"] == b"#cloud-config"
    assert b"instance-id: one\n" in seeded["/var/lib/cloud/seed/nocloud/meta-data"]
    served = write.first_files(spec(cloud_init=True), "10.77.0.5")
    assert b"[ Ec2, None ]" in served["/etc/cloud/cloud.cfg.d/91_spotdeploy_datasource.cfg"]
    assert not [name for name in served if "seed" in name]


@pytest.mark.parametrize(
    ("wrong", "words"),
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
def test_a_value_no_machine_can_have_is_named(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        specs.check_specs([spec(**wrong)])


def test_a_missing_tool_is_named_with_the_line_that_installs_it() -> None:
    (problem,) = host.missing_tools(lambda tool: None if tool == "mmdebstrap" else f"/bin/{tool}")
    assert problem.what == "missing on this host: mmdebstrap"
    assert problem.remedy == (
        "apt-get install --no-install-recommends systemd-container mmdebstrap iproute2"
    )


@pytest.mark.parametrize(
    ("uid", "capabilities", "words"),
    [(1000, "000001ffffffffff", "root is needed"), (0, "00000000a80425fb", "CAP_SYS_ADMIN")],
)
def test_missing_rights_are_named(uid: int, capabilities: str, words: str) -> None:
    (problem,) = host.missing_rights(uid, f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert words in problem.what
    assert host.missing_rights(0, "CapEff:\t000001ffffffffff\n") == []


def test_an_overlay_file_system_is_no_place_for_machines(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    line = f"27 1 {os.major(device)}:{os.minor(device)} / / rw - {{}} /dev/x rw\n"
    (problem,) = host.unfit_disk(tmp_path / "state", line.format("overlay"))
    assert "cannot hold machines" in problem.what
    assert host.unfit_disk(tmp_path / "state", line.format("ext4")) == []


def test_a_low_limit_is_raised_and_a_high_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "max_user_instances"
    for before, after in (("128\n", "8192"), ("9000\n", "9000\n")):
        file.write_text(before)
        host.raise_limit(file)
        assert file.read_text() == after
        assert host.low_limit(file) == []


def test_only_a_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"the disk under {tmp_path} is full"):
        _fail(tmp_path, OSError(28, "No space left on device"))
    with pytest.raises(FileNotFoundError):
        _fail(tmp_path, FileNotFoundError(2, "No such file"))


def test_a_lock_names_its_holder_until_the_holder_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert locks.holder(path) is None
    code = (
        "import sys, time; from spotdeploy_local.machine_dir import locks;"
        f" print(locks.take({path!r}), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"True\n"
        assert locks.holder(path) == process.pid
        assert locks.take(path) is False
        process.kill()
    assert locks.holder(path) is None


def test_a_chatty_console_keeps_its_last_megabyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, sink = os.pipe()
    keeper = threading.Thread(target=supervisor.keep_console, args=(source,))
    keeper.start()
    for number in range(400):
        os.write(sink, b"%6d" % number + b"x" * 8000 + b"\r\n")
    os.close(sink)
    keeper.join()
    text = read.console(tmp_path)
    assert len(text) <= 2 * supervisor.CONSOLE_BYTES
    assert text.rstrip().splitlines()[-1].startswith("   399")


def _fail(folder: Path, error: OSError) -> None:
    with host.explain_full_disk(folder, "VARIABLE"):
        raise error
