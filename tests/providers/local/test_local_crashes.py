"""Whatever dies, and whenever: nothing is lost from sight and nothing is left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spotdeploy.errors import HostError, ProviderError
from spotdeploy_local.engine import Bind, MachineState
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import STATE_VARIABLE, Layout
from spotdeploy_local.linux import syscalls
from tests.providers.local.nspawn_bench import Bench, eventually

pytestmark = pytest.mark.machines


def test_the_death_of_a_supervisor_ends_its_machine(bench: Bench) -> None:
    (machine,) = bench.start(bench.spec("one"))
    assert machine.pid
    subprocess.run(["kill", "-9", str(machine.pid)], check=True)
    eventually(lambda: bench.machine("one").state is MachineState.STOPPED)
    assert bench.machine("one").message == "its power was cut"
    assert bench.greeting("one") == b""
    bench.engine.destroy(["one"])
    assert bench.remains() == []


def test_a_machine_outlives_the_process_that_started_it(bench: Bench) -> None:
    spec = bench.spec("one")
    _in_process(bench, f"engine.start({spec!r}); os.kill(os.getpid(), 9)")
    bench.await_ssh("one")


def test_what_a_killed_creator_left_half_made_is_listed_and_destroyed(bench: Bench) -> None:
    spec = bench.spec("one")
    _in_process(bench, f"engine.lifecycle.write_missing([{spec!r}]); os.kill(os.getpid(), 9)")
    assert bench.machine("one").state is MachineState.STOPPED
    assert bench.machine("one").message == "it never started"
    bench.engine.destroy(["one"])
    assert bench.remains() == []


def test_what_a_killed_creator_left_half_made_starts_when_asked_for_again(bench: Bench) -> None:
    spec = bench.spec("one")
    _in_process(bench, f"engine.lifecycle.write_missing([{spec!r}]); os.kill(os.getpid(), 9)")
    bench.start(spec)


def test_a_half_written_folder_of_a_dead_process_is_a_leftover(bench: Bench) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    folder = bench.engine.layout.machines / f".part-{gone.pid}-one"
    folder.mkdir(parents=True)
    assert bench.engine.machines() == []
    (leftover,) = bench.engine.leftovers()
    assert (leftover.kind, leftover.id) == ("folder", folder.name)
    bench.engine.release([leftover])
    assert not folder.exists()


def test_an_interrupted_destroy_leaves_a_machine_that_is_still_listed(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    layout = bench.engine.layout
    layout.machine("one").rename(layout.being_removed("one"))
    assert bench.machine("one").state is MachineState.RUNNING
    bench.engine.destroy(["one"])
    assert bench.remains() == []


def test_a_machine_whose_folder_is_gone_is_a_leftover_that_can_be_released(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    shutil.rmtree(bench.engine.layout.machine("one"))
    found = bench.engine.leftovers()
    assert {(leftover.kind, leftover.id) for leftover in found} == {
        ("cgroup", "one"),
        ("network", "bench"),
    }
    bench.engine.release(found)
    assert bench.engine.leftovers() == []
    assert bench.remains() == []


def test_the_manual_delete_command_ends_a_machine(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    subprocess.run(["sh", "-c", bench.engine.manual_delete_command("machine", "one")], check=True)
    for leftover in bench.engine.leftovers():
        subprocess.run(
            ["sh", "-c", bench.engine.manual_delete_command(leftover.kind, leftover.id)], check=True
        )
    assert bench.engine.machines() == []
    assert bench.remains() == []


def test_destroying_a_missing_or_repeated_machine_is_success(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    bench.engine.destroy(["one", "never", "one"])
    bench.engine.destroy(["one"])
    bench.engine.destroy([])
    assert bench.engine.machines() == []


def test_two_processes_may_destroy_the_same_machine_at_once(bench: Bench) -> None:
    bench.start(bench.spec("one"))
    with ThreadPoolExecutor() as pool:
        list(pool.map(bench.engine.destroy, [["one"]] * 4))
    assert bench.remains() == []


def test_a_container_that_cannot_boot_is_stopped_and_its_console_says_why(
    bench: Bench, tmp_path: Path
) -> None:
    bench.engine.start(bench.spec("one", binds=(Bind(tmp_path, "not/absolute"),)))
    eventually(lambda: bench.machine("one").state is MachineState.STOPPED)
    assert bench.machine("one").message.startswith("exit code")
    assert "not/absolute" in bench.engine.console("one")


def test_machines_come_and_go_side_by_side_without_disturbing_one_another(bench: Bench) -> None:
    def live(name: str) -> None:
        for network in ("left", "right", "left"):
            bench.engine.start(bench.spec(name, network=network))
            bench.engine.destroy([name])

    with ThreadPoolExecutor() as pool:
        list(pool.map(live, "abcd"))
    assert bench.remains() == []


def test_a_machine_that_fails_to_start_leaves_nothing(bench: Bench) -> None:
    spec = bench.spec("one", address="10.77.0.9")
    bench.engine.hold_network("bench")
    bench.in_switch("ip", "link", "add", "m0a4d0009", "type", "bridge")
    with pytest.raises(ProviderError, match=r"machine one did not start: ip failed: .*File exists"):
        bench.engine.start(spec)
    assert bench.engine.machines() == []
    bench.engine.drop_network("bench")
    assert bench.remains() == []


def test_a_machine_waits_until_the_port_of_the_one_that_had_its_address_is_gone(
    bench: Bench,
) -> None:
    bench.engine.hold_network("bench")
    bench.in_switch("ip", "link", "add", "m0a4d0009", "type", "bridge")
    log = bench.engine.layout.machine("one") / "ip.log"
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(bench.engine.start, bench.spec("one", address="10.77.0.9"))
        eventually(lambda: log.exists() and "File exists" in log.read_text())
        bench.in_switch("ip", "link", "delete", "m0a4d0009")
        assert started.result().id == "one"
    bench.engine.destroy(["one"])
    bench.engine.drop_network("bench")
    assert bench.remains() == []


def test_a_full_disk_is_one_clear_error_and_nothing_is_made(tmp_path: Path, bench: Bench) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    syscalls.mount("tmpfs", str(disk), "tmpfs", data="size=1m")
    try:
        engine = NspawnEngine(Layout(disk / "state", bench.engine.layout.cache))
        with pytest.raises(HostError, match=f"{disk}/state has . MiB free") as caught:
            engine.start(bench.spec("one"))
        assert STATE_VARIABLE in str(caught.value.hint)
        with pytest.raises(HostError, match=f"the disk under {disk}/state is full"):
            engine.lifecycle.write_missing([bench.spec("one", files={"/big": bytes(2 << 20)})])
        assert engine.machines() == []
        engine.destroy(["one"])
    finally:
        syscalls.unmount(str(disk))


def _in_process(bench: Bench, code: str) -> None:
    """Run code against the bench's engine in a process that may kill itself."""
    layout = bench.engine.layout
    head = (
        "import os\nfrom pathlib import Path\n"
        "from spotdeploy_local.engine import MachineSpec\n"
        "from spotdeploy_local.layout import Layout\n"
        "from spotdeploy_local.engines.nspawn.engine import NspawnEngine\n"
        f"engine = NspawnEngine(Layout(Path({str(layout.state)!r}), Path({str(layout.cache)!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True)
    assert done.returncode == -9, done
