"""spotdeploy's command, as `python -m spotdeploy` runs it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.forked import start_module

COMMAND: Final = (sys.executable, "-m", "spotdeploy")
PATIENCE: Final = 120.0
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "TZ", "FORCE_COLOR", "GITHUB_ACTIONS")
"""Beginnings of the variables that Python or a library looks at when it is loaded."""


def enter(network: Path | None) -> Sequence[str]:
    """What goes before a command to run it in a network namespace."""
    return ("nsenter", f"--net={network}") if network else ()


def run(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
    network: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end, with nothing to read, with this process's variables
    when none are given, and in a network namespace if one is. Raises TimeoutExpired, and kills
    it, after `seconds`."""
    environment = os.environ if environment is None else environment
    changed = dict(set(environment.items()) ^ set(os.environ.items()))
    assert not [name for name in changed if name.startswith(_READ_AT_START)], "start it anew"
    line = [*COMMAND, *arguments]
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = start_module(
            "spotdeploy",
            *arguments,
            folder=folder,
            environment=environment,
            out=out,
            err=err,
            network=network,
        )
        process.join(seconds)
        late = process.is_alive()
        if late:
            process.kill()
            process.join()
        code = process.exitcode
        process.close()
        said = [file.read_text("utf-8", "replace") for file in (out, err)]
    if late or code is None:
        raise subprocess.TimeoutExpired(line, seconds, *said)
    return subprocess.CompletedProcess(line, code, *said)
