"""A payload cannot leave its machine, whatever keeps it there on this host."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spotdeploy_local.engine import Bind
from spotdeploy_local.engines.nspawn.confinement import confinement
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from spotdeploy_local.linux import syscalls
from tests.providers.local.nspawn_bench import Bench, eventually

pytestmark = pytest.mark.machines

HOSTILE = Path(__file__).with_name("hostile_payload.py").read_bytes()
_UNCOVER = """
import ctypes, json, os
covered = not os.path.exists("/run/proc")
if ctypes.CDLL(None).umount2(b"/run", 2) == 0 and os.path.isdir("/run/proc"):
    os.chdir("/run/proc")
files = ("sysrq-trigger", "sys/kernel/core_pattern", "sys/vm/drop_caches", "sys/kernel/hostname")
print(json.dumps({
    "covered": covered,
    "processes": [] if os.getcwd() == "/root" else [one for one in os.listdir() if one.isdigit()],
    "writable": [file for file in files if os.access(file, os.W_OK)],
}))
"""
SYSCTLS = ("hostname", "domainname", "pid_max", "shmmax", "msgmni", "core_pattern", "panic")


@pytest.fixture
def unshiftable(bench: Bench, tmp_path: Path) -> Iterator[Layout]:
    """A layout whose images are on an overlay, which the kernel cannot show with other owners: no
    machine of it can be in a user namespace."""
    for name in ("empty", "cache"):
        (tmp_path / name).mkdir()
    layout = bench.engine.layout
    options = f"lowerdir={layout.cache}:{tmp_path / 'empty'}"
    syscalls.mount("overlay", str(tmp_path / "cache"), "overlay", data=options)
    yield Layout(layout.state, tmp_path / "cache")
    syscalls.unmount(str(tmp_path / "cache"))


@pytest.fixture(params=["a user namespace", "few capabilities"])
def confined(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Benches whose machines are confined in either way."""
    if request.param == "a user namespace":
        if refusal := confinement(bench.engine.layout).refusal:
            pytest.skip(f"this host has none: {refusal}")
        yield bench
    else:
        layout = request.getfixturevalue("unshiftable")
        yield replace(bench, engine=NspawnEngine(layout))
        bench.engine.destroy([machine.id for machine in bench.engine.machines()])


def test_a_hostile_payload_gets_nowhere(confined: Bench, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir(mode=0o755)
    spec = confined.spec("one", files={"/root/hostile.py": HOSTILE}, binds=(Bind(shown, "/mnt"),))
    confined.start(spec)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        attack = f"python3 /root/hostile.py /mnt {port} {' '.join(own_addresses())}"
        managed = json.loads(confined.run("one", attack))
    assert not managed, managed
    assert list(shown.iterdir()) == []


def test_what_a_payload_may_set_is_its_machine_s_own(confined: Bench) -> None:
    confined.start(confined.spec("one"))
    before = sysctls()
    for name in SYSCTLS:
        confined.ssh("one", f"mount -o remount,rw /proc/sys; echo 7777 >/proc/sys/kernel/{name}")
    confined.ssh("one", "hostname owned; date -s 2001-01-01; sysctl -w net.ipv4.ip_forward=1")
    assert sysctls() == before


def test_what_systemd_nspawn_covers_shows_no_process_and_sets_nothing(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    shown = json.loads(bench.run("one", f"python3 -c {shlex.quote(_UNCOVER)}"))
    assert shown == {"covered": True, "processes": [], "writable": []}


def test_a_confined_machine_is_whole(confined: Bench) -> None:
    confined.start(confined.spec("one"))
    assert confined.run("one", "systemctl is-system-running --wait") == "running"
    assert confined.run("one", "ip link add v0 type veth && ip -br link show v0").startswith("v0")
    unit = "systemd-run --wait -q -p User=nobody -p Nice=-5 -p LimitNOFILE=65536 -p PrivateTmp=yes"
    assert confined.run("one", f"{unit} sh -c 'touch /tmp/x' && echo done") == "done"
    confined.ssh("one", "touch /var/pinned; chattr +i /var/pinned")  # would hinder its removal
    owners = "useradd -m ops && sudo -u ops touch /home/ops/x && stat -c %U:%G /home/ops/x"
    assert confined.run("one", owners) == "ops:ops"
    confined.run("one", "touch /var/kept")
    confined.ssh("one", "systemctl reboot")
    eventually(lambda: confined.machine("one").boots == 2)
    confined.await_ssh("one")
    assert confined.run("one", "stat -c %U /var/kept") == "root"


def test_a_machine_boots_whatever_its_creator_hides_from_others(bench: Bench) -> None:
    before = os.umask(0o077)
    try:
        bench.start(bench.spec("one", files={"/opt/deep/file": b"put"}))
    finally:
        os.umask(before)
    assert bench.run("one", "cat /opt/deep/file") == "put"


def test_a_user_of_a_machine_is_nobody_here(bench: Bench) -> None:
    (machine,) = bench.start(bench.spec("one"))
    assert machine.pid
    confined = confinement(bench.engine.layout)
    first = confined.first_user("one")
    bench.run("one", "touch /root/written")
    written = bench.engine.layout.machine("one") / "upper/tree/root/written"
    assert (written.stat().st_uid, written.stat().st_gid) == (first, first)
    assert (confined.problems == []) == (first != 0)


def test_without_user_namespaces_doctor_says_why(unshiftable: Layout) -> None:
    (problem,) = NspawnEngine(unshiftable).problems()
    assert not problem.fatal
    assert "by dropped capabilities alone" in problem.what
    assert f"{unshiftable.cache}: Invalid argument" in problem.what


def own_addresses() -> list[str]:
    """The host's addresses, in its own network."""
    shown = subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, check=True).stdout
    return [one["local"] for link in json.loads(shown) for one in link["addr_info"]]


def sysctls() -> dict[str, str]:
    names = [*(f"kernel/{name}" for name in SYSCTLS), "net/ipv4/ip_forward"]
    return {name: Path("/proc/sys", name).read_text() for name in names}
