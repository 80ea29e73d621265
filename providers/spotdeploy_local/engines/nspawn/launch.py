"""Starting supervisors side by side, and collecting their results."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from spotdeploy_local.machine_dir import locks

_START_SECONDS = 60.0
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}

# The package's own __init__ imports pluggy, which these programs must do without.
_MAIN = (
    "import sys, types; p = types.ModuleType('spotdeploy_local'); p.__path__ = [{folder!r}]; "
    "sys.modules[p.__name__] = p; "
    "from {module} import main; main()"
)


def launch(folders: Sequence[Path]) -> Mapping[Path, str]:
    """Start the machines of these folders; returns the errors by folder.

    Blocks until every supervisor has its namespaces, its network and its disk.
    """
    started = {folder: _start(folder) for folder in folders}
    deadline = time.monotonic() + _START_SECONDS
    errors = {folder: _error(folder, *started[folder], deadline) for folder in folders}
    return {folder: error for folder, error in errors.items() if error}


def supervisor_command(folder: Path, pipe: int) -> list[str]:
    """The command that starts a supervisor."""
    return small_python("spotdeploy_local.engines.nspawn.supervisor", str(folder), str(pipe))


def small_python(module: str, *arguments: str) -> list[str]:
    """The command that runs `main` of a module, which should import next to nothing."""
    code = _MAIN.format(folder=str(Path(__file__).parents[2]), module=module)
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def _start(folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    read, write = os.pipe()
    with (folder / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            supervisor_command(folder, write),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_ENVIRONMENT,
            pass_fds=[write],
            start_new_session=True,
        )
    os.close(write)
    return read, process


def _error(folder: Path, pipe: int, process: subprocess.Popen[bytes], deadline: float) -> str:
    """What kept the machine from starting; empty when it runs."""
    with open(pipe, "rb") as answer, selectors.DefaultSelector() as waiting:
        waiting.register(answer, selectors.EVENT_READ)  # select(2) takes no number above 1023
        if not waiting.select(max(0.0, deadline - time.monotonic())):
            process.kill()
            process.wait()
            return f"its supervisor gave no answer in {_START_SECONDS:g} s"
        text = answer.read().decode(errors="replace")
    process.wait()
    if text == "ok" or (not text and locks.holder(str(folder / "lock"))):
        return ""
    log = (folder / "supervisor.log").read_text(errors="replace").strip()
    return text or log or "its supervisor ended without output"
