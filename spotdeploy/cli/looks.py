"""The screen of `spotdeploy debug`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from spotdeploy.check import CommandResult
from spotdeploy.node.diagnostics import Look
from spotdeploy.redact import Redactor
from spotdeploy.text import plain

LIMIT = 20_000


def show_looks(
    looks: Sequence[tuple[Look, CommandResult]], redactor: Redactor, *, as_json: bool
) -> None:
    """Print what each command said, harmless, bounded and without secrets."""
    looks = redactor.anything(looks)
    if as_json:
        data = [
            {"title": look.title, "command": look.command, "exit_code": result.exit_code,
             "stdout": plain(result.stdout, limit=LIMIT),
             "stderr": plain(result.stderr, limit=LIMIT)}
            for look, result in looks
        ]  # fmt: skip
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(data)).decode() + "\n")
        return
    for look, result in looks:
        sys.stdout.write(f"== {look.title}\n{_text(result)}\n\n")


def _text(result: CommandResult) -> str:
    text = plain("\n".join(filter(None, (result.stdout, result.stderr))), limit=LIMIT)
    return text or "(nothing)"
