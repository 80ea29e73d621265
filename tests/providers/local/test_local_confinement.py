"""A payload cannot leave its machine, whatever keeps it there on this host."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from spotdeploy_local.engine import Bind
from tests.providers.local.nspawn_bench import Bench

pytestmark = pytest.mark.machines

HOSTILE = Path(__file__).with_name("hostile_payload.py").read_bytes()


def own_addresses() -> list[str]:
    """The host's addresses, in its own network."""
    shown = subprocess.run(["ip", "-j", "-4", "address"], capture_output=True, check=True).stdout
    return [one["local"] for link in json.loads(shown) for one in link["addr_info"]]


def test_a_hostile_payload_gets_nowhere(bench: Bench, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir(mode=0o755)
    spec = bench.spec("one", files={"/root/hostile.py": HOSTILE}, binds=(Bind(shown, "/mnt"),))
    bench.start(spec)
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        attack = f"python3 /root/hostile.py /mnt {port} {' '.join(own_addresses())}"
        managed = json.loads(bench.run("one", attack))
    assert not managed, managed
    assert os.listdir(shown) == []
