"""A machine's life: boot, reboot, power off, and the end of its time."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from spotdeploy_local.engine import Bind, MachineState
from tests.providers.local.nspawn_bench import Bench, eventually

pytestmark = pytest.mark.machines

SETTLED = "systemctl is-system-running --wait"


def test_a_machine_boots_systemd_and_settles_without_a_failed_unit(bench: Bench) -> None:
    bench.start(bench.spec("one", "echo from user-data; hostname > /var/named"))
    assert bench.run("one", SETTLED) == "running"
    assert bench.run("one", "systemctl --failed --no-legend") == ""
    assert bench.run("one", "cat /proc/1/comm /var/named; hostname") == "systemd\none\none"
    journal = bench.run("one", "journalctl -u spotdeploy-user-data -o cat")
    assert journal.count("from user-data") == 1
    assert "from user-data" in bench.engine.console("one")


def test_gzipped_user_data_runs_too(bench: Bench) -> None:
    spec = bench.spec("one", "echo packed > /root/packed")
    bench.start(replace(spec, user_data=gzip.compress(spec.user_data)))
    assert bench.run("one", "cat /root/packed") == "packed"


def test_machines_share_no_host_key_and_no_machine_id(bench: Bench) -> None:
    bench.start(bench.spec("one"), bench.spec("two"))
    identity = "cat /etc/ssh/ssh_host_*_key.pub /etc/machine-id"
    first, second = (bench.run(name, identity).splitlines() for name in ("one", "two"))
    assert len(first) == len(second) == 2
    assert not set(first) & set(second)


def test_a_reboot_is_real_and_keeps_the_disk(bench: Bench) -> None:
    bench.start(bench.spec("one", "echo boot >> /var/boots"))
    bench.run("one", "touch /run/marker /var/kept")
    pid = bench.machine("one").pid
    bench.ssh("one", "systemctl reboot")
    eventually(lambda: bench.machine("one").boots == 2)
    bench.await_ssh("one")
    assert bench.run("one", "ls /run/marker /var/kept 2>/dev/null || true") == "/var/kept"
    assert bench.run("one", "cat /var/boots") == "boot\nboot"
    assert bench.run("one", SETTLED) == "running"
    assert len(bench.run("one", "journalctl --list-boots -q").splitlines()) >= 2
    assert bench.machine("one").pid == pid


def test_a_machine_that_powers_off_stays_listed_as_stopped(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    bench.ssh("one", "systemctl poweroff")
    eventually(lambda: bench.machine("one").state is MachineState.STOPPED)
    stopped = bench.machine("one")
    assert (stopped.boots, stopped.pid, stopped.message) == (1, None, "it powered itself off")
    assert bench.greeting("one") == b""


def test_twenty_machines_start_side_by_side_and_all_disappear(bench: Bench) -> None:
    specs = [bench.spec(f"m{number}") for number in range(20)]
    machines = bench.start(*specs)
    assert len({machine.address for machine in machines}) == 20
    began = time.monotonic()
    bench.engine.destroy([machine.id for machine in machines])
    assert time.monotonic() - began < 20 * 0.5
    assert bench.engine.machines() == []
    assert bench.remains() == []


def test_starting_the_same_ids_again_starts_nothing(bench: Bench) -> None:
    specs = [bench.spec("one"), bench.spec("two")]
    before = bench.start(*specs)
    again = bench.engine.start_all([*specs, specs[0]]).machines
    assert [one.pid for one in again] == [one.pid for one in before]
    assert len(bench.engine.machines()) == 2


def test_a_machine_ends_when_its_time_to_live_is_over(bench: Bench) -> None:
    bench.engine.start(bench.spec("one", time_to_live=0.5))
    eventually(lambda: bench.machine("one").state is MachineState.STOPPED)
    assert bench.machine("one").message == "its time to live was over"


def test_files_and_binds_are_there_from_the_first_boot(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "with:colon"
    source.mkdir()
    (source / "word").write_text("shown")
    spec = bench.spec("one", files={"/root/deep/file": b"put"}, binds=(Bind(source, "/mnt"),))
    bench.start(spec)
    assert bench.run("one", "cat /root/deep/file /mnt/word; stat -c %a /root") == "putshown700"
