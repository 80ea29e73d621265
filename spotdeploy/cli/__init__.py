"""The command line: one file per command, registered here in the order that `--help` shows."""

from __future__ import annotations

import typer

from spotdeploy.cli import (
    create,
    cycle,
    debug,
    destroy,
    doctor,
    init,
    list_,
    plan,
    plugins,
    schema,
    ssh,
    verify,
)


def build_app() -> typer.Typer:
    """The app with every command."""
    app = typer.Typer(
        name="spotdeploy",
        help="Destroy, create and verify spot instances on any cloud.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_globals)
    for name, command in (
        ("init", init.init),
        ("plan", plan.plan),
        ("create", create.create),
        ("list", list_.list_nodes),
        ("verify", verify.verify),
        ("destroy", destroy.destroy),
        ("cycle", cycle.cycle),
        ("debug", debug.debug),
        ("ssh", ssh.ssh),
        ("doctor", doctor.doctor),
        ("plugins", plugins.plugins),
        ("schema", schema.schema),
    ):
        app.command(name)(command)
    return app


def _version(wanted: bool) -> None:
    if wanted:
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
    from spotdeploy.cli import trouble

    trouble.set_verbose(verbose)
