"""What a supervisor is started with, and what it keeps of the console."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from spotdeploy_local.engine import Bind, MachineSpec
from spotdeploy_local.engines.nspawn import launch, plan, supervisor
from spotdeploy_local.engines.nspawn.confinement import Confinement
from spotdeploy_local.engines.nspawn.places import DISK
from spotdeploy_local.machine_dir import read


def test_the_container_joins_its_groups_enters_its_namespace_and_then_becomes_nspawn() -> None:
    command = container(Confinement())
    assert command[:2] == ["/bin/sh", "-ec"]
    enter = ["nsenter", "--user=/run/systemd/nspawn/user", "--"]
    own_mounts = ["unshare", "--mount", "--propagation=unchanged", "--"]
    begin = ["sh", "/cg/cgroup.procs", "--", *enter, *own_mounts, "systemd-nspawn"]
    assert command[3 : 3 + len(begin)] == begin
    assert "--directory=/run/systemd/nspawn/disk/tree" in command
    assert "--network-namespace-path=/run/systemd/nspawn/network" in command
    binds = [f"/run/systemd/nspawn/binds/{number}" for number in range(2)]
    assert command[-2:] == [f"--bind-ro={binds[0]}:/c\\:d", f"--bind={binds[1]}:/e"]


def test_without_a_user_namespace_the_container_has_no_say_about_the_host() -> None:
    command = container(Confinement("refused"))
    assert command[6] == "systemd-nspawn"
    (dropped,) = (one for one in command if one.startswith("--drop-capability="))
    assert {"CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_READ_SEARCH"} <= set(dropped[18:].split(","))
    assert Confinement("refused").first_user("one") == 0


def test_a_machine_s_users_are_in_the_range_of_containers() -> None:
    firsts = {Confinement().first_user(f"machine-{number}") for number in range(1000)}
    assert len(firsts) > 900
    assert all(524288 <= one <= 1879048192 - 65536 and one % 65536 == 0 for one in firsts)
    assert Confinement().first_user("one") == Confinement().first_user("one")


def container(confined: Confinement) -> list[str]:
    binds = (Bind(Path("/a:b"), "/c:d"), Bind(Path("/d"), "/e", read_only=False))
    machine = MachineSpec(id="one", name="one", binds=binds)
    return plan.container_command(machine, f"{DISK}/tree", ["/cg/cgroup.procs"], confined)


def test_published_ports_start_at_an_address_that_ends_like_the_machine_s() -> None:
    addresses = plan.publish_addresses("10.77.0.5")
    assert addresses[:2] == ["127.77.0.5", "127.77.1.5"]
    assert len(addresses) == 256


def test_a_supervisor_imports_next_to_nothing() -> None:
    code = launch.supervisor_command(Path("/x"), 3)[4].replace("; main()", "")
    heavy = ("pluggy", "msgspec", "dataclasses", "subprocess", "typing", "pathlib", "asyncio")
    printed = subprocess.run(
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
    assert printed.stdout == "[]\n"


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
