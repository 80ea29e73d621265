"""Makes a provider in a process of its own and reports what that did."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from spotdeploy.provider import Provider, ProviderConfig

CALLS: Final = frozenset(
    {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendto",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
    }
)


class Construction(msgspec.Struct, frozen=True):
    """What importing a class, `locations` and `__init__` did."""

    calls: tuple[str, ...]
    """Connections and commands, as Python's audit events name them."""
    home_files: tuple[str, ...]
    """Files that were opened in the user's home folder."""
    modules: tuple[str, ...]
    """Every module that is imported afterwards."""


def observe_construction(cls: type[Provider[Any]], config: ProviderConfig) -> Construction:
    """Import the class and make an object for each of its locations, with an empty home folder.

    Raises AssertionError with the process's last words when that fails.
    """
    with tempfile.TemporaryDirectory() as home:
        variables = {"HOME": home, "PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.run(
            [sys.executable, "-s", "-m", __name__],
            input=pickle.dumps((cls.__module__, cls.__qualname__, config)),
            env=variables,
            capture_output=True,
            check=False,
            timeout=60,
        )
    if process.returncode != 0:
        raise AssertionError(process.stderr.decode(errors="replace"))
    return msgspec.json.decode(process.stdout, type=Construction)


def _construct(stdin: bytes) -> Construction:
    calls: list[str] = []
    opened: list[str] = []
    home = str(Path.home())

    def hook(event: str, args: Sequence[Any]) -> None:
        if event in CALLS:
            calls.append(f"{event} {args[-1]!r}")
        elif event == "open" and isinstance(args[0], str) and args[0].startswith(home):
            opened.append(args[0])

    sys.addaudithook(hook)
    module, name, config = pickle.loads(stdin)  # noqa: S301  # written by our own parent
    cls: Any = __import__(module, fromlist=["*"])
    for part in name.split("."):
        cls = getattr(cls, part)
    for location in cls.locations(config):
        cls(config, location)
    return Construction(tuple(calls), tuple(opened), tuple(sorted(sys.modules)))


if __name__ == "__main__":
    answer = _construct(sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.json.encode(answer))
