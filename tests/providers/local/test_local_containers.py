"""Machines of podman: what those of systemd-nspawn do, they do."""

from __future__ import annotations

import gzip
import shlex
import socket
import subprocess
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Cached
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_local.engine import Bind, MachineSpec, MachineState
from spotdeploy_local.engines.container.boot import archive
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.engines.container.images import DIGEST, REPOSITORY, ContainerImages
from spotdeploy_local.image.releases import DEFAULT
from tests.providers.local.container_bench import ContainerBench
from tests.providers.local.machine_bench import connect, eventually

pytestmark = pytest.mark.machines

SETTLED = "systemctl is-system-running --wait"


def test_a_machine_boots_systemd_runs_its_user_data_and_shows_its_console(
    container: ContainerBench,
) -> None:
    packed = container.spec("one", "echo from user-data; hostname > /var/named")
    container.start(
        replace(packed, user_data=gzip.compress(packed.user_data)), container.spec("two")
    )
    assert container.run("one", SETTLED) == "running"
    assert container.run("one", "systemctl --failed --no-legend") == ""
    assert container.run("one", "cat /proc/1/comm /var/named; hostname") == "systemd\none\none"
    assert "from user-data" in container.engine.console("one")
    identity = "cat /etc/ssh/ssh_host_*_key.pub /etc/machine-id"
    first, second = (container.run(name, identity).splitlines() for name in ("one", "two"))
    assert len(first) == len(second) == 2
    assert not set(first) & set(second)


def test_a_reboot_is_real_and_a_machine_that_powers_off_stays_off(
    container: ContainerBench,
) -> None:
    container.start(container.spec("one", "echo boot >> /var/boots"))
    container.run("one", "touch /run/marker /var/kept")
    address = container.machine("one").address
    container.ssh("one", "systemctl reboot")
    rebooted = "test ! -e /run/marker"
    seen = set()

    def back() -> bool:
        seen.add(container.machine("one").state)
        return container.ssh("one", rebooted).returncode == 0

    eventually(back)
    assert seen == {MachineState.RUNNING}
    assert container.run("one", "ls /run/marker /var/kept 2>/dev/null || true") == "/var/kept"
    assert container.run("one", "cat /var/boots") == "boot\nboot"
    assert container.run("one", SETTLED) == "running"
    assert container.machine("one").address == address
    container.ssh("one", "systemctl poweroff")
    eventually(lambda: container.machine("one").state is MachineState.STOPPED)
    eventually(lambda: container.machine("one").message == "it powered itself off")
    assert container.greeting("one") == b""


def test_a_machine_ends_when_its_time_to_live_is_over_whatever_its_payload_does(
    container: ContainerBench,
) -> None:
    container.start(container.spec("kind", time_to_live=6.0))
    container.start(container.spec("hostile", time_to_live=6.0))
    assert container.run("hostile", "pgrep -x 'timeout|unshare' || true") == ""
    over = {"its time to live was over"}
    eventually(lambda: {machine.message for machine in container.engine.machines()} == over)
    assert {machine.state for machine in container.engine.machines()} == {MachineState.STOPPED}


def test_files_are_there_from_the_first_boot(container: ContainerBench) -> None:
    container.start(container.spec("one", files={"/root/deep/file": b"put"}))
    shown = container.run("one", "cat /root/deep/file; stat -c %a /root /root/deep/file")
    assert shown == "put700\n600"


def test_nodes_of_a_deployment_meet_and_no_other_has_their_addresses(
    container: ContainerBench,
) -> None:
    # sshd on a port that a user may offer
    also = "printf 'Port 22\\nPort 2222\\n' > /etc/ssh/sshd_config.d/also.conf"
    container.start(
        *(container.spec(name, also, publish=(2222, 8080)) for name in ("one", "two")),
        container.spec("stranger", network="other", publish=(2222,)),
    )
    one, two, stranger = (container.machine(name) for name in ("one", "two", "stranger"))
    assert len({one.address, two.address, stranger.address}) == 3
    assert len({one.published_address, two.published_address, stranger.published_address}) == 3
    assert one.address.rpartition(".")[0] == two.address.rpartition(".")[0]
    assert stranger.address.rpartition(".")[0] != one.address.rpartition(".")[0]
    from_here = connect(one.published_address or "", 2222)
    greeted = subprocess.run(from_here, capture_output=True, text=True, check=True)
    assert greeted.stdout.startswith("SSH-2.0")
    assert not container.reaches("one", "stranger", PortRange("22"))
    assert not container.reaches("stranger", "two", PortRange("22"))
    container.engine.destroy(["stranger"])
    with pytest.raises(OSError, match="there is no machine stranger"):
        container.engine.dial("stranger", 22, timeout=1.0)


def test_nodes_of_a_deployment_find_one_another_by_name(container: ContainerBench) -> None:
    tellers = (Path("/usr/lib/podman/netavark"), Path("/usr/lib/cni/dnsname"))
    if container.engine.program == "podman" and not any(map(Path.exists, tellers)):
        pytest.skip("podman tells names with netavark, or with CNI's plugin dnsname")
    container.start(container.spec("one"), container.spec("two"))
    container.start(container.spec("stranger", network="other"))
    for source, target in (("one", "two"), ("two", "one")):
        found = container.run(source, f"getent ahostsv4 {target}").split()
        assert found[0] == container.machine(target).address
    assert container.ssh("one", "getent hosts stranger").returncode != 0


def test_nodes_reach_of_one_another_what_is_open_and_nothing_else(
    container: ContainerBench,
) -> None:
    if unkept := container.engine.filter_problems():
        pytest.skip(unkept[0].what)
    opened = (PortRange("22"), PortRange("53/udp"))
    container.start(container.spec("one", open_between=opened), container.spec("shut"))
    assert container.reaches("shut", "one", PortRange("22"))
    assert container.run("shut", shlex.join(connect(container.machine("one").address, 22)))
    assert container.reaches("shut", "one", PortRange("53/udp"))
    for source, target, port in (
        *(("shut", "one", PortRange(one)) for one in (23, "54/udp")),
        *(("one", "shut", PortRange(one)) for one in (22, 23, "53/udp")),
    ):
        assert not container.reaches(source, target, port), (source, target, port)
    assert not container.pings("shut", "one")
    container.start(container.spec("later", open_between=ALL_PORTS))
    assert container.reaches("one", "later", PortRange("1000"))
    assert container.pings("one", "later")
    assert not container.pings("later", "one")
    container.engine.destroy(["later"])
    container.start(container.spec("heir"))
    assert not container.reaches("one", "heir", PortRange("22"))


def test_an_interruption_is_announced_and_then_the_power_is_cut(container: ContainerBench) -> None:
    container.start(container.spec("one"), container.spec("two"))
    container.engine.preempt("one", notice_seconds=0.1)
    container.engine.stop(["two", "never-was"])
    one, two = container.machine("one"), container.machine("two")
    assert (one.state, one.notice) == (
        MachineState.STOPPED,
        "interrupted by request with 0.1 s notice",
    )
    assert (two.state, two.message, two.notice) == (
        MachineState.STOPPED,
        "its power was cut",
        None,
    )
    with pytest.raises(ProviderError, match="there is no machine never-was"):
        container.engine.preempt("never-was")


def test_a_start_that_was_cut_off_is_finished_by_the_next_and_makes_nothing_twice(
    container: ContainerBench,
) -> None:
    specs = [container.spec("one"), container.spec("two")]
    assert container.engine._create_missing(specs) == {}  # then the process died
    assert [one.state for one in container.engine.machines()] == [MachineState.PENDING] * 2
    started = container.start(*specs, specs[0])
    again = container.engine.start_all(specs)
    assert [one.pid for one in again.machines] == [one.pid for one in started[:2]]
    assert len(container.engine.machines()) == 2


def test_one_machine_that_cannot_start_is_told_and_the_others_run(
    container: ContainerBench,
) -> None:
    wrong = container.spec("wrong", files={"/etc": b"a file in the place of a folder"})
    started = container.engine.start_all([wrong, container.spec("right")])
    assert [machine.id for machine in started.machines] == ["right"]
    assert " cp: " in started.failures["wrong"]
    for more in ({"address": "10.0.0.9"}, {"binds": (Bind(container.key, "/mnt"),)}):
        with pytest.raises(ConfigError, match="no addresses or folders of one's choice"):
            container.engine.start_all([container.spec("other", **more)])


@dataclass(frozen=True)
class Contended(ContainerEngine):
    """An engine on a host where somebody takes a machine's port before it starts."""

    taken: list[socket.socket] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def _boot(self, spec: MachineSpec) -> None:
        place = self._place(spec.id)
        self.addresses.append(place.address)
        if not self.taken:
            self.taken.append(socket.create_server((place.published_address, spec.publish[0])))
        super()._boot(spec)


def test_a_port_that_is_taken_before_the_start_is_offered_elsewhere(
    container: ContainerBench,
) -> None:
    one = container.engine
    engine = Contended(one.program, one.layout, abouts=one.abouts)
    started = engine.start_all([container.spec("one", publish=(18081,))])
    (taken,) = engine.taken
    with taken:
        assert started.failures == {}
        (machine,) = started.machines
        assert machine.published_address not in (taken.getsockname()[0], "")
        assert len(set(engine.addresses)) == 2  # podman 4 may keep that of what did not start


def test_what_a_crash_leaves_is_found_and_released(container: ContainerBench) -> None:
    engine = container.engine
    engine._network("lost")
    folder = engine.layout.notices / engine.program / "gone"
    folder.mkdir(parents=True)
    (folder / "notice.json").write_text('{"words": "interrupted"}')
    left = engine.leftovers()
    assert {(one.kind, one.id) for one in left} == {
        (f"{engine.program}-network", "lost"),
        (f"{engine.program}-notice", "gone"),
    }
    for one in left:
        assert one.id in engine.manual_delete_command(one.kind, one.id)
    engine.release(left)
    engine.release(left)
    assert container.remains() == []


def test_an_image_of_the_user_s_is_given_what_a_node_needs(
    container: ContainerBench, tmp_path: Path
) -> None:
    engine = container.engine
    base = ContainerImages(engine.cli, engine.layout, DEFAULT).reference(cloud_init=False)
    file = tmp_path / "Containerfile"
    lost = "/usr/lib/spotdeploy/user-data /etc/systemd/system/spotdeploy-user-data.service"
    file.write_text(f"FROM {base}\nRUN rm {lost} && echo mine > /etc/mine\n")
    own = changed(engine, image=str(file))
    bench = changed(container, engine=own)
    own.prepare(print)
    try:
        steps: list[str] = []
        own.prepare(steps.append)
        assert steps == []
        bench.start(bench.spec("one", "cp /etc/mine /var/mine"))
        assert bench.run("one", "cat /var/mine") == "mine"
        own.destroy(["one"])
    finally:
        remove_built(own)


NEST = """
set -eu
mkdir -p /tmp/root/bin
cp /bin/dash /tmp/root/bin/sh
for library in $(ldd /bin/dash | grep -o '/[^ ]*'); do cp --parents "$library" /tmp/root; done
tar -C /tmp/root -c . | podman import --quiet - nested:1 >/dev/null
podman info --format '{{.Store.GraphDriverName}}'
podman run --rm --network=none --cgroups=disabled --ulimit=nofile=999:999 --ulimit=nproc=999:999 \\
    nested:1 /bin/sh -c 'echo from a container in a node'
"""


def test_podman_runs_in_a_node_that_was_given_a_disk_for_it(
    container: ContainerBench, tmp_path: Path
) -> None:
    engine = container.engine
    if engine.program == "docker":
        pytest.skip("one outer engine is enough: the inner one takes a minute to install")
    base = ContainerImages(engine.cli, engine.layout, DEFAULT).reference(cloud_init=False)
    file = tmp_path / "Containerfile"
    install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends podman crun"
    file.write_text(f"FROM {base}\nRUN {install}\n")
    own = changed(engine, image=str(file))
    own.prepare(print)
    before = volumes(engine)
    try:
        bench = changed(container, engine=own)
        bench.start(bench.spec("one", nested=True))
        printed = bench.run("one", f"sh -c {shlex.quote(NEST)}")
        assert printed.splitlines() == ["overlay", "from a container in a node"]
        own.destroy(["one"])
        assert volumes(engine) == before
    finally:
        remove_built(own)


def volumes(engine: ContainerEngine) -> str:
    return engine.cli.run("volume", "ls", "--quiet")


def remove_built(engine: ContainerEngine) -> None:
    """Remove the image of a test's own Containerfile, and what it was built upon."""
    own = ContainerImages(engine.cli, engine.layout, engine.image)
    engine.cli.run("rmi", own.reference(cloud_init=False), own._base())


def by_hand(command: str) -> None:
    """Run it as a person would: again, when a mount of what has just ended is still busy."""
    eventually(lambda: subprocess.run(command, shell=True).returncode == 0)


def test_an_image_that_no_container_was_made_of_can_be_removed(
    container: ContainerBench, tmp_path: Path
) -> None:
    engine, name = container.engine, f"{REPOSITORY}:test-{tmp_path.name.replace('_', '-')}"

    def unused() -> list[Cached]:
        return [thing for thing in engine.cached() if thing.id == name]

    packed = archive({"/file": (b"content", 0o644)})
    engine.cli.run("import", f"--change=LABEL {DIGEST}=test", "-", name, data=packed)
    made = engine.cli.run("create", "--network=none", name, "/file").strip()
    assert unused() == []
    engine.cli.run("rm", made)
    (thing,) = unused()
    assert (thing.needed, thing.size > 0) == (False, True)
    assert [engine.discard([thing]) for _ in range(2)] == [[thing], [thing]]
    assert unused() == []


def test_the_commands_for_a_person_list_and_end_a_machine(container: ContainerBench) -> None:
    container.engine.start(container.spec("one", labels={"spotdeploy-deployment": "mine-7"}))
    listing = container.engine.manual_list_command(["mine-7"])
    shown = subprocess.run(listing, shell=True, capture_output=True, text=True, check=True)
    assert "mine-7" in shown.stdout
    by_hand(container.engine.manual_delete_command("machine", "one"))
    assert container.engine.machines() == []
    while left := container.engine.leftovers():
        by_hand(container.engine.manual_delete_command(left[0].kind, left[0].id))
    assert container.remains() == []
