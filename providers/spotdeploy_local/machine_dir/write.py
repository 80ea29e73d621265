"""A machine's folder, as it is before the first boot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.image.recipe import USER_DATA
from spotdeploy_local.network.commands import GATEWAY

_DATASOURCE = "/etc/cloud/cloud.cfg.d/91_spotdeploy_datasource.cfg"
_SEED = "/var/lib/cloud/seed/nocloud"


def first_files(spec: MachineSpec, address: str) -> dict[str, bytes]:
    """What a machine's disk holds besides the image, before the first boot."""
    hosts = f"127.0.0.1 localhost\n{address} {spec.name}\n"
    files = {
        "/etc/hostname": f"{spec.name}\n".encode(),
        "/etc/hosts": hosts.encode(),
        "/etc/resolv.conf": f"nameserver {GATEWAY}\n".encode(),
        "/etc/machine-id": f"{machine_id(spec.id)}\n".encode(),
    }
    if spec.cloud_init:
        source = "NoCloud" if spec.user_data else "Ec2"
        files[_DATASOURCE] = f"datasource_list: [ {source}, None ]\n".encode()
    if spec.user_data and spec.cloud_init:
        meta = f"instance-id: {spec.id}\nlocal-hostname: {spec.name}\n"
        files |= {f"{_SEED}/user-data": spec.user_data, f"{_SEED}/meta-data": meta.encode()}
    elif spec.user_data:
        files[USER_DATA] = spec.user_data
    return files


def machine_id(machine: str) -> str:
    """A systemd machine id that no other machine has."""
    return hashlib.sha256(f"spotdeploy {machine}".encode()).hexdigest()[:32]


def machine(
    folder: Path,
    spec: MachineSpec,
    address: str,
    tree: Path,
    plan: Mapping[str, object],
    owner: int,
) -> None:
    """Make a machine's folder. `tree` is the root of its image, `owner` the host's user and group
    that the machine's root is. Raises OSError."""
    folder.mkdir(mode=0o700)
    root = folder / "upper" / tree.name
    for part in (folder / "work", root.parent, root):
        part.mkdir(mode=0o700)
    root.chmod(0o755)
    for name, content in first_files(spec, address).items():
        mode = 0o644 if name.startswith("/etc/") else 0o600
        _place(root, tree, name, content, mode)
    for name, content in spec.files.items():
        _place(root, tree, name, content, 0o600)
    for path in (root.parent, *root.parent.rglob("*")):
        os.chown(path, owner, owner)
    facts = {
        "id": spec.id,
        "name": spec.name,
        "network": spec.network,
        "address": address,
        "extra_addresses": list(spec.extra_addresses),
        "labels": dict(spec.labels),
        "details": dict(spec.details),
        "publish": list(spec.publish),
        "open_between": [str(one) for one in spec.open_between],
        "open_to": spec.open_to,
        "names": list(spec.names),
        "created_at": time.time(),
    }
    (folder / "spec.json").write_text(json.dumps(facts))
    (folder / "plan.json").write_text(json.dumps(plan))


def notice(folder: Path, message: str) -> None:
    """Write an interruption notice, atomically."""
    part = folder / "notice.json.part"
    part.write_text(json.dumps({"words": message}))
    part.rename(folder / "notice.json")


def remove(folder: Path) -> None:
    """Remove a tree; a missing one, or one that another process removes too, is success."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _place(upper: Path, tree: Path, name: str, content: bytes, mode: int) -> None:
    """Write a file of the overlay; folders that the image has too keep the image's mode."""
    target = upper / name.lstrip("/")
    for folder in reversed(target.relative_to(upper).parents[:-1]):
        if not (upper / folder).exists():
            (upper / folder).mkdir(mode=0o755)
            if (tree / folder).is_dir():
                shutil.copystat(tree / folder, upper / folder)
    target.touch(mode=mode)
    target.write_bytes(content)
    target.chmod(mode)
