"""`spotdeploy debug`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from spotdeploy.check import CommandResult
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, NodeName, Providers
from spotdeploy.node.diagnostics import Look
from spotdeploy.redact import Redactor
from spotdeploy.text import plain


def command(
    node: NodeName, config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show the condition of a node; changes nothing on it."""
    from spotdeploy.cli.debug import show_looks
    from spotdeploy.cli.opening import new_registry, read_redactor, read_settings
    from spotdeploy.node.access import inspect_node
    from spotdeploy.phases.plan import read_checks

    settings, providers = read_settings(config, provider)
    registry = new_registry(settings)
    redactor = read_redactor(registry, settings, providers, read_checks(registry, settings))
    show_looks(inspect_node(registry, settings, providers, node), redactor, as_json=json)


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
