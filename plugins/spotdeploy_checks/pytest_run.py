"""pytest in a process of its own, whose testinfra talks to a node over our connection."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import urllib.parse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spotdeploy.check import Connection
from spotdeploy.model import Node
from spotdeploy_checks import pytest_results
from spotdeploy_checks.pytest_results import Results
from spotdeploy_checks.relay import Relay
from spotdeploy_checks.testinfra_names import RELAY, SCHEME

TAIL: Final = 8192
"""The bytes kept of what pytest printed last."""
_LINGER: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How pytest ended."""

    exit_code: int | None
    """None when the time passed."""
    results: Results | None
    """None when pytest wrote none that can be read."""
    output: str
    """The last it printed."""


@dataclass(frozen=True, slots=True)
class PytestRun:
    """Which tests, and from where."""

    folder: Path
    tests: tuple[str, ...]
    """As on pytest's command line."""
    timeout: float
    """Seconds for all of them together, and for each command on the node."""

    async def against(self, node: Node, connection: Connection) -> Ran:
        """Run them against one node. Everything is written to a temporary folder.

        Raises UnreachableError as soon as the node cannot be reached; cancelled, it ends pytest.
        """
        relay = Relay(connection, self.timeout)
        with tempfile.TemporaryDirectory(prefix="spotdeploy-") as name:
            temporary = Path(name)
            async with relay.serving(temporary / "relay"):
                command = arguments(self.tests, node.name, temporary)
                code, output = await self._until_end(command, temporary, relay)
            if relay.error is not None:
                raise relay.error
            found = await asyncio.to_thread(pytest_results.read, temporary / "results.xml", node)
        return Ran(code, found, output)

    async def _until_end(
        self, command: Sequence[str], temporary: Path, relay: Relay
    ) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=environment(temporary / "relay"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101  # asked for above
        tail = bytearray()
        reading = asyncio.create_task(_keep_tail(process.stdout, tail))
        ended = asyncio.create_task(process.wait())
        broken = asyncio.create_task(relay.broken.wait())
        try:
            await asyncio.wait(
                {ended, broken}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            code = process.returncode
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            broken.cancel()
            await asyncio.wait({ended, reading}, timeout=_LINGER)
            reading.cancel()
        return code, tail.decode(errors="replace")


def arguments(tests: Sequence[str], host: str, temporary: Path) -> list[str]:
    """The command line. The caller's folder is not searched for modules, and nothing is left in
    it."""
    return [
        *(sys.executable, "-P", "-m", "pytest"),
        *("-p", "pytest11.testinfra", "-p", "spotdeploy_checks.testinfra_backend"),
        f"--hosts={SCHEME}://{urllib.parse.quote(host, safe='')}",
        f"--junitxml={temporary / 'results.xml'}",
        *("-o", f"cache_dir={temporary / 'cache'}"),
        *("--color=no", "--tb=short", "--no-header"),
        *tests,
    ]


def environment(relay: Path) -> dict[str, str]:
    """This process's environment, without what steers another pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return kept | {RELAY: str(relay), "PYTHONDONTWRITEBYTECODE": "1"}


async def _keep_tail(stream: asyncio.StreamReader, tail: bytearray) -> None:
    while data := await stream.read(65536):
        tail += data
        del tail[:-TAIL]
