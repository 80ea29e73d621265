"""What machines there are: read from their folders and from the kernel's locks, at every call.

Listing is the commonest thing anyone does here, so this imports little.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from spotdeploy.ports import PortRange
from spotdeploy_local.engine import Machine, MachineState
from spotdeploy_local.layout import BEING_WRITTEN
from spotdeploy_local.machine_dir import locks


def machines(folder: Path) -> Sequence[Machine]:
    """The machines whose folders are in this one, oldest first, half-destroyed ones too."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        folders = [
            Path(entry.path) for entry in entries if not entry.name.startswith(BEING_WRITTEN)
        ]
        found = (machine(one) for one in folders)
        return sorted(filter(None, found), key=lambda one: (one.created_at, one.id))
    return []


def machine(folder: Path) -> Machine | None:
    """The machine of a folder as it is now, or None when there is none."""
    spec = _read_json(folder / "spec.json")
    if not spec:
        return None
    pid = locks.holder(str(folder / "lock"))
    state = _read_json(folder / "state.json")
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
        open_between=tuple(map(PortRange, spec.get("open_between", ()))),
        open_to=spec.get("open_to", ""),
        names=tuple(spec.get("names", ())),
        published_address=state.get("published_address"),
        pid=pid,
        boots=state.get("boots", 0),
        notice=notice(folder),
        message="" if pid else _message(state),
    )


def notice(folder: Path) -> str | None:
    """The message of an interruption notice, once one was given."""
    return _read_json(folder / "notice.json").get("words")


def never_started(folder: Path) -> bool:
    """True when no supervisor has ever made the folder's machine run, and none is about to."""
    return not (folder / "state.json").exists() and locks.holder(str(folder / "lock")) is None


def labels(folder: Path) -> Mapping[str, str]:
    """The labels of whatever is left of a machine's folder."""
    found = _read_json(folder / "spec.json").get("labels")
    return dict(found) if isinstance(found, dict) else {}


def console(folder: Path) -> str:
    """What was printed on the console; odd bytes are replaced."""
    parts = [folder / "console.log.1", folder / "console.log"]
    data = b"".join(part.read_bytes() for part in parts if part.exists())
    return data.decode(errors="replace").replace("\r", "")


def _read_json(file: Path) -> Mapping[str, Any]:
    """The object in a file; empty when the file is missing, or cut short by a power loss."""
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return dict(content)


def _state(pid: int | None, state: Mapping[str, object]) -> MachineState:
    if pid is None:
        return MachineState.STOPPED
    return MachineState.RUNNING if state.get("boots") else MachineState.PENDING


def _message(state: Mapping[str, object]) -> str:
    if state.get("expired"):
        return "its time to live was over"
    if state.get("state") == "stopped":
        return "it powered itself off" if state["exit"] == 0 else f"exit code {state['exit']}"
    return "its power was cut" if state else "it never started"
