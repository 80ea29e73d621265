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
from spotdeploy_local.machine_dir import read


def test_the_container_joins_its_groups_and_then_becomes_nspawn() -> None:
    binds = (Bind(Path("/a:b"), "/c"), Bind(Path("/d"), "/e", read_only=False))
    machine = MachineSpec(id="one", name="one", binds=binds)
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
