"""reference/cli.md: what the program itself prints for `--help`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from spotdeploy.cli import COMMANDS, GROUPS

HEAD: Final = """\
# Commands

What each command prints for `--help`. Where there is a `--config`, `spotdeploy.toml` in the present
folder is read when it is not given, or that of [a folder above](config.md#where-it-is-found).

| exit code | meaning |
|---|---|
| 0 | passed |
| 1 | the payload failed |
| 2 | usage or config; refused; nothing was changed |
| 3 | infrastructure failed: capacity, quota, credentials, interruption, never reachable |
| 4 | leak: something could not be proven gone |
| 70 | a bug in spotdeploy or in a plugin |
| 130 | stopped by you |

[Why these codes](../adr/0003-exit-codes.md).
"""
SUBCOMMANDS: Final = {"access": ("export", "import"), "plugins": ("new", "test")}
ENVIRONMENT: Final = {"COLUMNS": "80", "PATH": "/usr/bin:/bin"}
"""Help is as wide as in the README, and the same for everyone."""
SERVICE: Final = ("  --install-completion", "  --show-completion")


def cli_page() -> str:
    """The whole page."""
    with ThreadPoolExecutor() as pool:
        helps = list(pool.map(real_help, words()))
    return HEAD + "".join(
        f"\n## `{' '.join(['spotdeploy', *line])}`\n\n```text\n{text}\n```\n"
        for line, text in zip(words(), helps, strict=True)
    )


def words() -> Iterator[Sequence[str]]:
    """The words of each command line that has a help of its own."""
    yield ()
    for command in COMMANDS:
        yield (command,)
        for below in SUBCOMMANDS[command] if command in GROUPS else ():
            yield (command, below)


def real_help(command: Sequence[str]) -> str:
    """What the program prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "spotdeploy", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    return ran.stdout.replace("python -m spotdeploy", "spotdeploy").strip()
