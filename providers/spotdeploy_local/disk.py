"""A machine's folder: written whole before it gets its name, read back for every listing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spotdeploy_local import locks
from spotdeploy_local.engine import Machine, MachineSpec, MachineState
from spotdeploy_local.recipe import USER_DATA

_SEED = "/var/lib/cloud/seed/nocloud"


def first_files(spec: MachineSpec, address: str) -> dict[str, bytes]:
    """What a machine's disk holds besides the image, before the first boot."""
    hosts = f"127.0.0.1 localhost\n{address} {spec.name}\n"
    files = {
        "/etc/hostname": f"{spec.name}\n".encode(),
        "/etc/hosts": hosts.encode(),
        "/etc/resolv.conf": b"",
        "/etc/machine-id": f"{machine_id(spec.id)}\n".encode(),
    }
    if spec.user_data and spec.cloud_init:
        meta = f"instance-id: {spec.id}\nlocal-hostname: {spec.name}\n"
        files |= {f"{_SEED}/user-data": spec.user_data, f"{_SEED}/meta-data": meta.encode()}
    elif spec.user_data:
        files[USER_DATA] = spec.user_data
    return files


def machine_id(machine: str) -> str:
    """A systemd machine id that no other machine has."""
    return hashlib.sha256(f"spotdeploy {machine}".encode()).hexdigest()[:32]


def write(folder: Path, spec: MachineSpec, address: str, created_at: float, tree: Path) -> None:
    """Make a machine's folder, all but its plan. Raises OSError."""
    folder.mkdir(mode=0o700)
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
    for name, content in first_files(spec, address).items():
        mode = 0o644 if name.startswith("/etc/") else 0o600
        _place(folder / "upper", tree, name, content, mode)
    for name, content in spec.files.items():
        _place(folder / "upper", tree, name, content, 0o600)
    facts = {
        "id": spec.id,
        "name": spec.name,
        "network": spec.network,
        "address": address,
        "extra_addresses": list(spec.extra_addresses),
        "labels": dict(spec.labels),
        "details": dict(spec.details),
        "publish": list(spec.publish),
        "created_at": created_at,
    }
    (folder / "spec.json").write_text(json.dumps(facts))


def read(folder: Path) -> Machine | None:
    """The machine of a folder as it is now, or None when there is none."""
    spec = read_json(folder / "spec.json")
    if not spec:
        return None
    pid = locks.holder(str(folder / "lock"))
    state = read_json(folder / "state.json")
    return Machine(
        id=spec["id"],
        name=spec["name"],
        state=_state(pid, state),
        network=spec["network"],
        address=spec["address"],
        extra_addresses=tuple(spec["extra_addresses"]),
        labels=spec["labels"],
        details=spec.get("details", {}),
        created_at=spec["created_at"],
        publish=tuple(spec["publish"]),
        published_address=state.get("published_address"),
        pid=pid,
        boots=state.get("boots", 0),
        notice=read_json(folder / "notice.json").get("words"),
        words="" if pid else _words(state),
    )


def never_started(folder: Path) -> bool:
    """True when no supervisor has ever made the folder's machine run, and none is about to."""
    return not (folder / "state.json").exists() and locks.holder(str(folder / "lock")) is None


def read_labels(folder: Path) -> Mapping[str, str]:
    """The labels of whatever is left of a machine's folder."""
    labels = read_json(folder / "spec.json").get("labels")
    return dict(labels) if isinstance(labels, dict) else {}


def write_notice(folder: Path, words: str) -> None:
    """Leave an interruption notice, whole or not at all."""
    part = folder / "notice.json.part"
    part.write_text(json.dumps({"words": words}))
    part.rename(folder / "notice.json")


def read_json(file: Path) -> Mapping[str, Any]:
    """The object in a file; empty when the file is missing, or cut short by a power loss."""
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return dict(content)


def console(folder: Path) -> str:
    """What was printed on the console; odd bytes are replaced."""
    parts = [folder / "console.log.1", folder / "console.log"]
    data = b"".join(part.read_bytes() for part in parts if part.exists())
    return data.decode(errors="replace").replace("\r", "")


def _state(pid: int | None, state: Mapping[str, object]) -> MachineState:
    if pid is None:
        return MachineState.STOPPED
    return MachineState.RUNNING if state.get("boots") else MachineState.PENDING


def _words(state: Mapping[str, object]) -> str:
    if state.get("expired"):
        return "its time to live was over"
    if state.get("state") == "stopped":
        return "it powered itself off" if state["exit"] == 0 else f"exit code {state['exit']}"
    return "its power was cut" if state else "it never started"


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
