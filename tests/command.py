"""spotdeploy's command, as `python -m spotdeploy` runs it: in a process of its own, with arguments,
folder and environment of a user's. It is forked from a process that has read all modules, since
reading them is most of what a short command takes."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

COMMAND: Final = (sys.executable, "-m", "spotdeploy")
PATIENCE: Final = 120.0
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "TZ", "FORCE_COLOR", "GITHUB_ACTIONS")
"""Beginnings of the variables that Python or a library looks at when it is loaded."""


def run(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end, with nothing to read, and with this process's variables
    when none are given. Raises TimeoutExpired, and kills it, after `seconds`."""
    line = [*COMMAND, *arguments]
    environment = os.environ if environment is None else environment
    if _of_start(environment) != _of_start(os.environ):
        return subprocess.run(
            line,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = _server().Process(
            target=_become,
            args=(arguments, str(folder), dict(environment), str(out), str(err)),
        )
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(line, seconds, out.read_bytes(), err.read_bytes())
        code = process.exitcode
        process.close()
        assert code is not None
        return subprocess.CompletedProcess(
            line, code, out.read_text(errors="replace"), err.read_text(errors="replace")
        )


@functools.cache
def _server() -> ForkServerContext:
    """What forks the processes; it is started when it is first used."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preload"])
    return context


def _become(
    arguments: tuple[str, ...], folder: str, environment: dict[str, str], out: str, err: str
) -> None:
    """Become `python -m spotdeploy`. Runs in the new process."""
    for number, path, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_CREAT),
    ):
        file = os.open(path, how, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    sys.argv[:] = ["spotdeploy", *arguments]
    try:
        runpy.run_module("spotdeploy", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which a forked process does not


def _of_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
