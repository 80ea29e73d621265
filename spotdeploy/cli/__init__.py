"""The command line: one file per command, named here in the order that `--help` shows."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any, Final

import typer

COMMANDS: Final = {
    "init": "Write a config and the reference payload.",
    "config": "Print the effective configuration and its sources.",
    "plan": "Show what a cycle would do; changes nothing.",
    "create": "Create and deploy fresh nodes, when there are none.",
    "list": "List the deployment's nodes, asked of the providers.",
    "verify": "Run the checks on the existing nodes.",
    "destroy": "Destroy all nodes and prove that nothing is left.",
    "cycle": "Destroy, create and verify, and end with a verdict.",
    "debug": "Show the condition of a node; changes nothing on it.",
    "logs": "Show the logs of nodes; changes nothing on them.",
    "run": "Run a command on all nodes; it can change nothing there.",
    "ssh": "Open a shell on a node; it can no longer pass verify.",
    "export": "Print the nodes for ssh, Ansible, a shell or Terraform.",
    "access": "Let a colleague's computer at the nodes: export, import.",
    "reap": "List expired resources of every deployment; --yes ends them.",
    "prune": "Free disk space: remove images that no node uses.",
    "doctor": "Look for what would stop a run: credentials, tools.",
    "history": "List the runs of this deployment, newest first.",
    "report": "Show how a run ended, and where its report is.",
    "diff": "Show what changed from one run to another: checks, times.",
    "plugins": "List the installed plugins, write a new one, or test one.",
    "schema": "Print the JSON Schema of spotdeploy.toml.",
}
"""Each is the function `command` in the module of its name (see `MODULES`), or for a group what its
function `group` returns. Its text is the first line of that one's docstring."""
MODULES: Final = {"list": "list_", "run": "run_"}
"""Of the commands whose name a module cannot have, or another one has."""
GROUPS: Final = frozenset({"access", "plugins"})
COMPLETING: Final = "_SPOTDEPLOY_COMPLETE"


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """The app for a command line, or for the one that is completed. Only the command it names is
    imported; all of them when it names none that we know."""
    app = typer.Typer(
        name="spotdeploy",
        help="Destroy, create and verify spot instances on any cloud.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_globals)
    completing = COMPLETING in os.environ
    words = _completed() if completing else arguments
    named = next((word for word in words if not word.startswith("-")), None)
    if completing and named not in COMMANDS:
        named = None  # their names are what is asked for
    for name in [named] if named in COMMANDS else COMMANDS:
        if named is None:
            app.command(name, help=COMMANDS[name])(_nothing)  # `--help` shows summaries only
        elif name in GROUPS:
            app.add_typer(_module(name).group(), name=name)
        else:
            module = _module(name)
            app.command(name, cls=getattr(module, "Parser", None))(module.command)
    return app


def _completed() -> list[str]:
    """The words of the line that is completed, which the shell gives, without the first one."""
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return line.split()[1:]


def _module(name: str) -> Any:
    return importlib.import_module(f"spotdeploy.cli.{MODULES.get(name, name)}")


def _nothing() -> None:
    raise AssertionError("a command that was not named cannot run")


def _version(requested: bool) -> None:
    if requested:
        from spotdeploy import __version__

        typer.echo(f"spotdeploy {__version__}")
        raise typer.Exit


def _globals(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Add the trace to an error."),
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_version, is_eager=True
    ),
) -> None:
    del version
    from spotdeploy.cli import errors

    errors.set_verbose(verbose)
