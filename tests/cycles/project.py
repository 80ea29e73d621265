"""A user's project in a folder of its own, and the real command run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from tests.command import COMMAND, PATIENCE, enter, run


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as data."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Project:
    """A spotdeploy.toml and a payload. Everything is destroyed at the end of `opened`."""

    patience = PATIENCE
    """Seconds that a command may take."""
    command: Sequence[str] = COMMAND
    """What runs spotdeploy."""

    def __init__(self, folder: Path, deployment: str) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {
            "deployment": deployment,
            "nodes": {"count": 1, "time_to_live": "30m"},
            "payload": {"path": "instance", "entry": "entry.sh", "reboot": False},
        }
        self.entry("echo deployed")

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, deployment: str, *more: Any) -> Iterator[Self]:
        """A project that leaves nothing behind."""
        project = cls(folder, deployment, *more)
        try:
            yield project
        finally:
            project.write()
            done = project.run("destroy")
            assert done.code == 0, done

    def entry(self, script: str) -> None:
        """Make this shell script the payload's entry."""
        self.file("entry.sh", script + "\n", mode=0o755)

    def file(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Put a file into the payload."""
        file = self.folder / "instance" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def write(self) -> None:
        """Write the config."""
        (self.folder / "spotdeploy.toml").write_text(tomli_w.dumps(self.config))

    @property
    def network(self) -> Path | None:
        """The network namespace of each command; None is this process's own."""
        return None

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of each command."""
        return dict(os.environ)

    def run(self, *arguments: str, command: Sequence[str] = ()) -> Done:
        """Run a command to its end. `command` is what runs spotdeploy this once."""
        if (command or self.command) == COMMAND:
            done = run(
                self.folder,
                *arguments,
                environment=self.environment,
                seconds=self.patience,
                network=self.network,
            )
            return Done(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            [*enter(self.network), *(command or self.command), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=self.patience,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def cycle(self, *arguments: str) -> Done:
        """Write the config and run a cycle."""
        self.write()
        return self.run("cycle", *arguments)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Running]:
        """A command that goes on while the block runs; it is killed when it outlives it."""
        self.write()
        process = subprocess.Popen(
            [*enter(self.network), *self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def nodes(self) -> list[dict[str, Any]]:
        """What `list --json` shows."""
        done = self.run("list", "--json")
        assert done.code == 0, done
        nodes: list[dict[str, Any]] = done.json()
        return nodes


class Running:
    """A command under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def until(self, text: str) -> None:
        """Read its output until a line has this text."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} never came; it said:\n{''.join(self.lines)}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Done:
        """Wait for its end."""
        out, err = self._process.communicate(timeout=PATIENCE)
        return Done(self._process.returncode, "".join(self.lines) + out, err)


def eventually(true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something outside this process has become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)
