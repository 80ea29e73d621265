"""Installs, enables and starts every unit beside this file. Runs as root on the node.

Each step is written to /opt/deployment.log with its time (UTC) and to standard output. The exit
code is 0 only when every unit is active; otherwise the log names what failed and why.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

HERE = Path(__file__).resolve().parent
ACTIVE_WITHIN = 60.0
"""Seconds a unit may take to become active."""
TAIL = 15


class DeployError(Exception):
    """What went wrong, in one line."""


@dataclass(frozen=True)
class Target:
    """Where things are installed."""

    root: Path = Path("/")

    @property
    def units(self) -> Path:
        """systemd's folder for local units."""
        return self.root / "etc/systemd/system"

    @property
    def identity(self) -> Path:
        """The file that tells services which node they are on."""
        return self.root / "etc/spotdeploy/node.json"

    @property
    def log(self) -> Path:
        """The deployment's log."""
        return self.root / "opt/deployment.log"


class Log:
    """Lines with times, to the log file and to standard output."""

    def __init__(self, path: Path, screen: TextIO) -> None:
        """Raises DeployError when the file cannot be opened."""
        self._screen = screen
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise DeployError(f"cannot write {path}: {error.strerror}") from error
        self._same = _same_file(self._file, screen)

    def __call__(self, text: str) -> None:
        """Write one line. Raises DeployError when the disk is full."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{now}Z {text}\n"
        try:
            self._file.write(line)
            self._file.flush()
            if not self._same:
                self._screen.write(line)
                self._screen.flush()
        except OSError as error:
            raise DeployError(f"cannot write {self._file.name}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="install below this folder")
    parser.add_argument("--services", type=Path, default=HERE, help="the folder with the units")
    parser.add_argument("--within", type=float, default=ACTIVE_WITHIN, help="seconds to get active")
    options = parser.parse_args(arguments)
    target = Target(options.root)
    try:
        log = Log(target.log, sys.stdout)
        try:
            deploy(target, options.services, options.within, log)
        except DeployError as error:
            log(f"FAILED: {error}")
            return 1
    except DeployError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    log("deployed")
    return 0


def deploy(target: Target, services: Path, within: float, log: Log) -> None:
    """Install and start every unit in a folder. Raises DeployError."""
    if target.root == Path("/") and os.geteuid() != 0:
        raise DeployError("this must run as root")
    units = sorted(services.glob("*.service"))
    if not units:
        raise DeployError(f"no *.service in {services}")
    for unit in units:
        validate(unit)
    write(target.identity, json.dumps(identity(os.environ), indent=2) + "\n")
    log(f"this is node {identity(os.environ)['node_id']}")
    for unit in units:
        write(target.units / unit.name, unit.read_text(encoding="utf-8"))
        log(f"installed {unit.name}")
    systemctl("daemon-reload")
    start_all([unit.name for unit in units], within, log)


def validate(unit: Path) -> None:
    """Refuse a unit that cannot work. Raises DeployError."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have case
    try:
        parser.read_string(unit.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise DeployError(f"{unit.name} cannot be read: {error}") from error
    command = parser.get("Service", "ExecStart", fallback="")
    if not command:
        raise DeployError(f"{unit.name} has no ExecStart in a [Service] section")
    program = Path(command.split()[0].lstrip("-@:+!"))
    if program.is_absolute() and not os.access(program, os.X_OK):
        raise DeployError(f"{unit.name} runs {program}, which is not there or not executable")


def identity(environment: Mapping[str, str]) -> dict[str, str]:
    """Which node this is: told by spotdeploy, or read from the machine itself."""
    names = ("deployment", "run", "node_id", "node_name", "provider", "location")
    found = {name: environment.get(f"SPOTDEPLOY_{name.upper()}", "") for name in names}
    found["node_id"] = found["node_id"] or _machine_id()
    found["node_name"] = found["node_name"] or os.uname().nodename
    return found


def start_all(units: Sequence[str], within: float, log: Log) -> None:
    """Enable and start units, and wait until all are active. Raises DeployError naming those that
    are not."""
    systemctl("enable", *units)
    systemctl("restart", "--no-block", *units)
    failed = []
    deadline = time.monotonic() + within
    for unit in units:
        state = wait_until_active(unit, deadline)
        log(f"{unit} is {state}")
        if state != "active":
            failed.append(unit)
            for line in last_words(unit):
                log(f"{unit}: {line}")
    if failed:
        raise DeployError(f"not active within {within:.0f}s: {', '.join(failed)}")


def wait_until_active(unit: str, deadline: float) -> str:
    """The unit's state once it is active or failed, or when the time is up."""
    while True:
        state = ask("is-active", unit)
        if state in ("active", "failed") or time.monotonic() >= deadline:
            return state or "unknown"
        time.sleep(0.1)


def last_words(unit: str) -> list[str]:
    """The end of a unit's journal."""
    done = subprocess.run(
        ["journalctl", "--no-pager", "--output=cat", f"--lines={TAIL}", f"--unit={unit}"],
        capture_output=True,
        check=False,
    )
    return done.stdout.decode(errors="replace").splitlines()


def systemctl(*arguments: str) -> None:
    """Run systemctl. Raises DeployError with what it said when it fails."""
    done = _systemctl(*arguments)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise DeployError(f"systemctl {' '.join(arguments)}: {said or done.returncode}")


def ask(*arguments: str) -> str:
    """What systemctl says, whatever its exit code."""
    return _systemctl(*arguments).stdout.decode(errors="replace").strip()


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises DeployError."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise DeployError(f"cannot write {path}: {error.strerror}") from error


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["systemctl", *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise DeployError("systemctl is not there: this node does not run systemd") from error


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().nodename


def _same_file(file: TextIO, screen: TextIO) -> bool:
    try:
        return os.path.sameopenfile(file.fileno(), screen.fileno())
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
