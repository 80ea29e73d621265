"""What is in a machine's folder before its first boot, and who holds its lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from msgspec.structs import replace

from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.machine_dir import locks, write

SPEC = MachineSpec(id="one", name="one")


def test_first_files_name_the_machine_and_give_it_an_id_of_its_own() -> None:
    files = write.first_files(replace(SPEC, name="web-1", user_data=b"hook"), "10.77.0.5")
    assert files["/etc/hostname"] == b"web-1\n"
    assert b"10.77.0.5 web-1\n" in files["/etc/hosts"]
    assert files["/etc/resolv.conf"] == b"nameserver 10.77.0.1\n"
    assert files["/var/lib/spotdeploy/user-data"] == b"hook"
    assert write.machine_id("one") != write.machine_id("two")


def test_cloud_init_gets_its_seed_or_the_metadata_server() -> None:
    seeded = write.first_files(
        replace(SPEC, cloud_init=True, user_data=b"#cloud-config"), "10.77.0.5"
    )
    assert seeded["/var/lib/cloud/seed/nocloud/user-data"] == b"#cloud-config"
    assert b"instance-id: one\n" in seeded["/var/lib/cloud/seed/nocloud/meta-data"]
    served = write.first_files(replace(SPEC, cloud_init=True), "10.77.0.5")
    assert b"[ Ec2, None ]" in served["/etc/cloud/cloud.cfg.d/91_spotdeploy_datasource.cfg"]
    assert not [name for name in served if "seed" in name]


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
