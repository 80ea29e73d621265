"""What container engines are told, and what is made of what they say: without any engine."""

from __future__ import annotations

import io
import json
import os
import pwd
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy.errors import HostError
from spotdeploy.ports import PortRange
from spotdeploy_local.engine import MachineSpec, MachineState
from spotdeploy_local.engines.container import (
    boot,
    commands,
    filters,
    fitness,
    images,
    places,
    records,
)
from spotdeploy_local.engines.container.cli import Cli, RefusedCommandError, is_mixed
from spotdeploy_local.engines.container.commands import Facts, Place
from spotdeploy_local.image.recipe import recipe_of

SPEC = MachineSpec(id="one", name="web-1", labels={"spotdeploy-run": "r"}, time_to_live=60.4)
PLACE = Place("spotdeploy-0000002a-net", "10.78.42.2", "127.77.0.2", (8080,), {22: 40001})
FACTS = Facts(
    "one",
    "web-1",
    "net",
    {"spotdeploy-run": "r"},
    {},
    (8080, 80),
    (PortRange("7946"),),
    "",
    ("a",),
    1000.0,
    60.4,
    PLACE,
)


def inspected(**state: object) -> Mapping[str, Any]:
    """What an engine says of a container."""
    whole = {"Status": "running", "ExitCode": 0, "Pid": 7, "FinishedAt": "0001-01-01T00:00:00Z"}
    labels = {commands.FACTS: json.dumps(asdict(FACTS))}
    return {"Id": "abc", "State": whole | state, "Config": {"Labels": labels}}


@pytest.mark.parametrize("program", ["podman", "docker"])
def test_a_container_is_told_all_that_its_machine_is(program: str) -> None:
    told = commands.create(
        program, "0000002a", SPEC, FACTS, "image:1", limits={"nofile": 20000}, first_user=600000
    )
    assert told[:2] == ["create", "--name=spotdeploy-0000002a-one"]
    assert told[-2:] == ["image:1", boot.INIT]
    assert {
        "--hostname=web-1",
        "--network-alias=web-1",
        "--ip=10.78.42.2",
        "--publish=127.77.0.2:8080:8080",
        "--publish=127.0.0.1:40001:22",
        "--uidmap=0:600000:65536",
        "--ulimit=nofile=20000:20000",
        "--label=spotdeploy-run=r",
        "--label=spotdeploy.state=0000002a",
    } <= set(told)
    for option in ("--timeout=62", "--mac-address=02:4d:0a:4e:2a:02"):
        assert (option in told) == (program == "podman")


def test_the_steps_of_a_build_get_the_limits_that_podman_may_give_them() -> None:
    limits = {"nofile": 20000, "nproc": 100}
    assert commands.build("podman", limits, ["--tag", "image:1", "."]) == [
        *("build", "--isolation=chroot", "--ulimit=nofile=20000:20000", "--ulimit=nproc=100:100"),
        *("--tag", "image:1", "."),
    ]
    assert commands.build("docker", limits, ["."]) == ["build", "."]


def test_what_was_kept_with_a_container_is_read_back() -> None:
    assert records.facts(inspected()) == FACTS
    assert records.facts({"Config": {"Labels": None}}) is None
    assert records.facts({"Config": {"Labels": {"else": "x"}}}) is None


@pytest.mark.parametrize(
    ("state", "expected", "message"),
    [
        ({"Status": "created", "Pid": 0}, MachineState.PENDING, ""),
        ({"Status": "running"}, MachineState.RUNNING, ""),
        ({"Status": "exited"}, MachineState.STOPPED, "it powered itself off"),
        ({"Status": "exited", "ExitCode": 137}, MachineState.STOPPED, "its power was cut"),
        ({"Status": "dead", "ExitCode": 32}, MachineState.STOPPED, "exit code 32"),
        (
            {"Status": "exited", "FinishedAt": "1970-01-01T00:17:40.400000001Z"},
            MachineState.STOPPED,
            "its time to live was over",
        ),
        (
            {"Status": "exited", "FinishedAt": "1970-01-01T01:17:39+01:00"},
            MachineState.STOPPED,
            "it powered itself off",
        ),
    ],
)
def test_a_container_s_state_is_a_machine_s(
    state: dict[str, object], expected: MachineState, message: str
) -> None:
    machine = records.machine(inspected(**state), FACTS, None)
    assert (machine.state, machine.message) == (expected, message)


def test_what_podman_lists_is_what_it_would_inspect() -> None:
    listed = {
        "Id": "abc",
        "State": "exited",
        "ExitCode": 0,
        "ExitedAt": 1060,
        "Pid": 0,
        "Labels": inspected()["Config"]["Labels"],
    }
    machine = records.machine(records.of_listing(listed), FACTS, None)
    assert (machine.state, machine.message) == (MachineState.STOPPED, "it powered itself off")
    late = records.of_listing(listed | {"ExitedAt": 1061})
    assert records.machine(late, FACTS, None).message == "its time to live was over"
    fast = changed(FACTS, created_at=1000.7, time_to_live=60.0)  # ended at 1060.5: process 1 counts
    on_time = records.of_listing(listed)
    assert records.machine(on_time, fast, None).message == "its time to live was over"
    never = records.of_listing(listed | {"State": "created", "ExitedAt": -62135596800})
    assert records.machine(never, FACTS, None).state is MachineState.PENDING


def test_networks_are_read_as_each_engine_tells_them() -> None:
    labels = {commands.NETWORK: "net"}
    podman = {"labels": labels, "subnets": [{"subnet": "10.78.1.0/24", "gateway": "10.78.1.1"}]}
    docker = {"Labels": labels, "IPAM": {"Config": [{"Subnet": "10.79.1.0/24"}]}}
    assert records.network(podman) == ("net", "10.78.1.0/24")
    assert records.network(docker) == ("net", "10.79.1.0/24")


def test_what_is_not_open_between_machines_is_dropped_and_answers_are_not() -> None:
    opened = replace(records.planned(FACTS), open_between=(PortRange("53/udp"),))
    shut = replace(opened, id="two", address="10.78.42.3", open_between=())
    lines = filters.ruleset("t", "10.78.42.0/24", [opened, shut]).splitlines()
    inside = "    ip saddr 10.78.42.0/24 ip daddr 10.78.42.0/24"
    assert lines[:2] == ["table bridge t {}", "delete table bridge t"]
    assert lines[5:11] == [
        f"{inside} tcp flags & (syn | ack) != syn accept",
        f"{inside} icmp type {{ echo-reply, destination-unreachable, time-exceeded }} accept",
        "    ip saddr { 10.78.42.3 } ip daddr 10.78.42.2 udp dport { 53 } accept",
        "    ip saddr 10.78.42.2 ip daddr { 10.78.42.3 } udp sport { 53 } accept",
        f"{inside} drop",
        "  }",
    ]
    assert lines[-3] == (
        "    ip saddr 10.78.42.0/24 ip daddr != 10.78.42.0/24 ip daddr 10.78.0.0/15 drop"
    )
    assert (
        filters.Filters("podman", "0000002a")._table("a-b_c") == "spotdeploy.podman.0000002a.a.b_c"
    )


def test_each_network_begins_looking_for_its_subnet_elsewhere_and_takes_no_taken_one() -> None:
    found = list(places.subnets("podman", "0000002a", {"10.78.42.0/24"}))
    assert (found[0], found[-1], len(found)) == ("10.78.43.0/24", "10.78.41.0/24", 255)
    assert next(places.subnets("docker", "00000100", ())) == "10.79.0.0/24"


def test_a_machine_s_address_is_no_gateway_s_and_nobody_else_s() -> None:
    assert places.free_address("10.78.1.0/24", {"10.78.1.2"}) == "10.78.1.3"
    with pytest.raises(OverflowError, match=r"10\.78\.1\.0/30 is full"):
        places.free_address("10.78.1.0/30", {"10.78.1.2"})


def test_ports_are_offered_where_all_are_free_else_where_most_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = {("a", 80), ("b", 80), ("b", 81)}
    monkeypatch.setattr(places, "is_free", lambda *place: place not in taken)
    assert places.offer((80, 81), ["a", "b", "c"]) == ("c", (80, 81))
    assert places.offer((80, 81), ["b", "a"]) == ("a", (81,))
    assert places.candidates("10.78.3.9", {"127.77.0.9"})[0] == "127.77.1.9"
    indirect = places.place(SPEC, "net", "10.78.1.2", (), direct=False)
    assert set(indirect.forwarded) == {22}
    both = replace(SPEC, publish=(80, 81))
    rest = places.place(both, "net", "10.78.1.2", (), direct=False, spent={80})
    assert (rest.published, set(rest.forwarded)) == ((81,), {22, 80, 81})
    monkeypatch.setattr(sys, "platform", "darwin")
    assert places.candidates("10.78.3.9", ()) == ["127.0.0.1"]


def test_a_container_s_files_are_its_user_data_and_what_boots_it() -> None:
    files = boot.boot_files(replace(SPEC, user_data=b"\x00hook", files={"/a/b": b"c"}), "10.0.0.2")
    with tarfile.open(fileobj=io.BytesIO(boot.archive(files))) as tar:
        found = {entry.name: entry.mode for entry in tar.getmembers()}
    assert found == {
        "etc/machine-id": 0o644,
        "var/lib/spotdeploy/user-data": 0o600,
        "a/b": 0o600,
        "usr/lib/spotdeploy/init": 0o755,
        "usr/lib/spotdeploy/boot": 0o755,
        "var/lib/spotdeploy/seconds": 0o600,
    }
    assert files["/var/lib/spotdeploy/seconds"][0] == b"61\n"


@pytest.mark.parametrize("name", ["/usr/lib/spotdeploy/init", "/usr/lib/spotdeploy/boot"])
def test_the_scripts_that_boot_are_shell(name: str) -> None:
    text, _ = boot.boot_files(SPEC, "10.0.0.2")[name]
    subprocess.run(["sh", "-n"], input=text, check=True)


def podman_info(**security: object) -> Mapping[str, Any]:
    host = {
        "security": {"rootless": False} | security,
        "serviceIsRemote": False,
        "cgroupVersion": "v1",
        "memTotal": 1 << 30,
        "ociRuntime": {"name": "crun"},
    }
    return {"host": host, "version": {"Version": "4.3.1"}}


def docker_info(**more: object) -> Mapping[str, Any]:
    return {
        "ServerVersion": "20.10.24",
        "SecurityOptions": ["name=seccomp,profile=default"],
        "OperatingSystem": "Debian GNU/Linux 12",
        "CgroupVersion": "2",
        "MemTotal": 1 << 30,
        "DefaultRuntime": "runc",
    } | more


def test_what_an_engine_says_of_itself_is_read() -> None:
    podman = fitness.of_podman(podman_info())
    assert (podman.direct, podman.cgroups, podman.confined) == (True, 1, True)
    docker = fitness.of_docker(docker_info())
    assert (docker.direct, docker.cgroups, docker.confined) == (True, 2, False)
    desktop = fitness.of_docker(docker_info(OperatingSystem="Docker Desktop"))
    assert not desktop.direct
    remapped = fitness.of_docker(docker_info(SecurityOptions=["name=userns"]))
    assert (remapped.direct, remapped.confined) == (True, True)
    rootless = fitness.of_docker(docker_info(SecurityOptions=["name=rootless"]))
    assert (rootless.direct, rootless.confined) == (False, True)
    with pytest.raises(HostError, match="does not answer: Cannot connect"):
        fitness.of_docker({"ServerErrors": ["Cannot connect to the Docker daemon"]})


def test_an_engine_without_root_on_control_groups_of_version_1_is_refused_with_two_ways_on() -> (
    None
):
    rootless = fitness.of_podman(podman_info(rootless=True))
    found = fitness.unfit(Cli("podman", ("--runtime=runc",)), rootless)
    assert "without root cannot boot systemd here" in found[0].what
    assert "sudo" in found[0].remedy
    assert "systemd.unified_cgroup_hierarchy=1" in found[0].remedy


def test_users_without_users_of_their_own_are_told_how_to_get_some(tmp_path: Path) -> None:
    subuid = tmp_path / "subuid"
    subuid.write_text("somebody:100000:65536\n")
    found = fitness.missing_ids(0, (subuid,))
    assert found
    assert "gives root no users for containers" in found.what
    assert "usermod --add-subuids" in found.remedy
    subuid.write_text("root:100000:65536\n")
    assert fitness.missing_ids(0, (subuid,)) is None


def test_rules_of_others_that_drop_what_podman_s_nodes_send_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(name: str, answer: object) -> str:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
        file.chmod(0o755)
        return str(file)

    base = {"family": "ip", "type": "filter", "hook": "forward", "prio": 0}
    of_docker = base | {"table": "filter", "name": "FORWARD", "policy": "drop"}
    of_podman = base | {"table": "netavark", "name": "FORWARD", "policy": "accept"}
    plain = {"family": "ip", "table": "filter", "name": "DOCKER-USER"}
    chains = [{"metainfo": {}}, *({"chain": one} for one in (of_docker, of_podman, plain))]
    program("nft", {"nftables": chains})
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    own_table = program("new", {"version": "1.14.0", "default_fw_driver": "nftables"})
    bridged = tmp_path / "bridged"
    assert filters.dropped(own_table, bridged) == []
    bridged.write_text("1\n")
    (told,) = filters.dropped(own_table, bridged)
    assert "ip filter FORWARD drops what is forwarded" in told.what
    assert told.remedy.startswith("nft insert rule ip filter FORWARD ip saddr 10.78.0.0/15")
    assert not told.fatal
    accepting = {"rules": told.remedy.partition(" FORWARD ")[2]}
    program("nft", {"nftables": chains} | accepting)  # the remedy was followed
    assert filters.dropped(own_table, bridged) == []
    assert filters.dropped(program("old", {"version": "1.4.0"}), bridged) == []
    assert filters.dropped(program("older", "netavark 1.0"), bridged) == []
    bridged.write_text("0\n")
    assert filters.dropped(own_table, bridged) == []


def test_rootless_docker_offers_a_port_once() -> None:
    rootless = fitness.of_docker(docker_info(SecurityOptions=["name=rootless"]))
    assert fitness.offers_once("docker", rootless)
    assert not fitness.offers_once("docker", fitness.of_docker(docker_info()))
    assert not fitness.offers_once("podman", rootless)


def test_podman_that_does_not_answer_a_user_without_users_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("podman", "docker"):
        (tmp_path / program).write_text(
            "#!/bin/sh\necho Error: cannot re-exec process >&2; exit 1\n"
        )
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(os, "getuid", lambda: pwd.getpwnam("nobody").pw_uid)
    (podman,) = fitness.problems(Cli("podman"), "")
    assert podman.what.endswith("gives nobody no users for containers")
    (docker,) = fitness.problems(Cli("docker"), "")
    assert docker.what.endswith("docker info: Error: cannot re-exec process")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    (root,) = fitness.problems(Cli("podman"), "")
    assert root.what.endswith("podman info: Error: cannot re-exec process")


def test_what_docker_lacks_is_told_without_shyness() -> None:
    docker = fitness.lacks("docker", fitness.of_docker(docker_info()), "as the config says")
    assert "CAN DO TO THIS COMPUTER WHAT ROOT CAN" in docker.what
    podman = fitness.lacks("podman", fitness.of_podman(podman_info()), "why")
    assert "(why): its users are nobody on this computer" in podman.what
    assert not podman.fatal
    assert not docker.fatal


def test_a_missing_program_and_a_refusal_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no-such-engine is missing"):
        Cli("no-such-engine").run("ps")
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\necho first >&2; echo 'Error: last words' >&2; exit 125\n")
    program.chmod(0o755)
    with pytest.raises(RefusedCommandError, match="ps: Error: last words"):
        Cli(str(program)).run("ps")
    assert fitness.problems(Cli("no-such-engine"), "")[0].what == (
        "no-such-engine is missing on this host"
    )


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (["unasked advice", "last words"], "last words"),
        (
            ["Error response from daemon: no", "Error: failed to start containers: a"],
            "Error response from daemon: no",
        ),
        (
            ["Error: pasta failed with exit code 1:", "Failed to open() /dev/net/tun", "No tap"],
            "Error: pasta failed with exit code 1: Failed to open() /dev/net/tun No tap",
        ),
        (["Error: one:", "of a", "Error: two:", "of b"], "Error: one: of a"),
        ([], "exit code 125"),
    ],
)
def test_a_refusal_is_told_with_its_reason(tmp_path: Path, printed: list[str], reason: str) -> None:
    words = tmp_path / "words"
    words.write_text("".join(f"{line}\n" for line in printed))
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\ncat {words} >&2; exit 125\n")
    program.chmod(0o755)
    with pytest.raises(RefusedCommandError) as refused:
        Cli(str(program)).run("start")
    assert refused.value.message == f"engine start: {reason}".replace("engine", str(program), 1)


def test_a_host_with_both_versions_of_control_groups_is_known(tmp_path: Path) -> None:
    controllers = tmp_path / "cgroup.controllers"
    assert not is_mixed(controllers)
    controllers.write_text("\n")
    assert not is_mixed(controllers)
    controllers.write_text("hugetlb\n")
    assert is_mixed(controllers) == (sys.platform == "linux")


def test_an_image_is_built_upon_any_base_with_the_same_recipe(tmp_path: Path) -> None:
    recipe = recipe_of("registry.example/mine:3", cloud_init=False)
    assert recipe.release == ""
    script = images.setup(recipe)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "openssh-server" in script
    text = images.containerfile("registry.example/mine:3", ["a=b"])
    assert text.splitlines()[:3] == ["FROM registry.example/mine:3", "USER root", "LABEL a=b"]


def test_root_s_places_and_a_user_s_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from spotdeploy_local.layout import Layout

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    user = Layout.from_environment({})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = Layout.from_environment({})
    assert str(root.state) == "/var/lib/spotdeploy/local"
    assert str(user.state).startswith(os.environ["XDG_STATE_HOME"])
    assert user.key != root.key
