"""The command line of podman or docker: the one place where it is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from spotdeploy.errors import HostError, ProviderError

SECONDS: Final = 60.0
UNIFIED: Final = Path("/sys/fs/cgroup/unified/cgroup.controllers")
"""The controllers of control groups version 2, on a host that has both versions."""


class RefusedCommandError(ProviderError):
    """The engine ran and said no; its own words are the message."""


@dataclass(frozen=True, slots=True)
class Cli:
    """An engine's command with its global options."""

    program: str
    options: tuple[str, ...] = ()

    @classmethod
    def of_host(cls, program: str, hooks: Path | None = None, unified: Path = UNIFIED) -> Cli:
        """With the folder of our hooks, once there is one, and with another runtime where podman's
        usual one, crun, refuses the host: it does where version 2 of the control groups has
        controllers beside version 1 ("cgroups in hybrid mode not supported"), and runc does not.
        https://github.com/containers/crun/blob/main/src/libcrun/cgroup.c"""
        if program != "podman":
            return cls(program)
        mixed = is_mixed(unified) and shutil.which("runc")
        return cls(
            program,
            (
                *(["--runtime=runc"] if mixed else []),
                *([f"--hooks-dir={hooks}"] if hooks and hooks.is_dir() else []),
            ),
        )

    def run(
        self,
        *arguments: str,
        data: bytes | None = None,
        stdin: IO[bytes] | None = None,
        seconds: float = SECONDS,
    ) -> str:
        """What the command prints. `data` or `stdin` is its input; `seconds` is what it may take.

        Raises HostError when the program is missing, RefusedCommandError when it fails.
        """
        command = [self.program, *self.options, *arguments]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            with _input(data, stdin) as source:
                done = subprocess.run(
                    command,
                    stdin=source,
                    capture_output=True,
                    timeout=seconds,
                    env=environment,
                    check=False,
                )
        except FileNotFoundError as error:
            raise HostError(f"{self.program} is missing", hint=f"install {self.program}") from error
        except subprocess.TimeoutExpired as error:
            raise ProviderError(f"`{_short(command)}` gave no answer in {seconds:g} s") from error
        if done.returncode != 0:
            message = (
                _reason(done.stderr.decode(errors="replace")) or f"exit code {done.returncode}"
            )
            raise RefusedCommandError(f"{self.program} {arguments[0]}: {message}")
        return done.stdout.decode(errors="replace")

    def json(self, *arguments: str) -> Any:
        """What the command prints, as JSON; None when it prints nothing."""
        text = self.run(*arguments).strip()
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise ProviderError(f"{self.program} {arguments[0]} gave no JSON") from error


@contextmanager
def _input(data: bytes | None, stdin: IO[bytes] | None) -> Iterator[IO[bytes] | int]:
    """Bytes as a file, since a pipe that nobody reads would hold up its writer."""
    if data is None:
        yield stdin or subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def is_mixed(unified: Path = UNIFIED) -> bool:
    """True where both versions of the control groups have controllers."""
    return sys.platform == "linux" and unified.is_file() and bool(unified.read_text().strip())


def _reason(printed: str) -> str:
    """Why the engine refused: its first error, since docker sums up below, with the words of the
    program that it called (pasta) where it announces them by a colon."""
    lines = printed.strip().splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("Error")]
    if not errors:
        return next(iter(lines[-1:]), "")
    first, second = (*errors, len(lines))[:2]
    end = second if lines[first].rstrip().endswith(":") else first + 1
    return " ".join(line.strip() for line in lines[first:end])


def _short(command: list[str]) -> str:
    return " ".join(command)[:80]
