"""`spotdeploy plugins`, `plugins new` and `plugins test`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Final

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json
from spotdeploy.cli.tables import table
from spotdeploy.errors import ConfigError, SpotdeployError
from spotdeploy.plugins import Plugins
from spotdeploy.scaffold.kinds import Kind

HEADER: Final = ("PLUGIN", "FROM", "GIVES")


def group() -> typer.Typer:
    """The command and those below it."""
    app = typer.Typer(invoke_without_command=True)
    app.callback()(_list)
    app.command("new")(_new)
    app.command("test")(_test)
    return app


def _list(context: typer.Context, json: Json = False) -> None:
    """List the installed plugins, write a new one, or test one."""
    if context.invoked_subcommand:
        return
    show_plugins(Plugins(), as_json=json)


def _new(
    name: Annotated[str, typer.Argument(help="The plugin's name, such as acme.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What it brings.")] = Kind.PROVIDER,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where its folder spotdeploy-NAME is written.")
    ] = Path(),
    bare: Annotated[
        bool, typer.Option("--bare", help="The smallest provider: one module, and its lab.")
    ] = False,
) -> None:
    """Write a package with a plugin that works, its tests and its CI, to change piece by piece."""
    from spotdeploy.scaffold.writing import write

    written = write(name, kind, folder, bare=bare)
    typer.echo(f"wrote {written}")
    typer.echo(f"try: cd {written} && pip install -e '.[test]' && pytest")


def _test(
    name: Annotated[
        str, typer.Argument(help="An installed plugin, or a plugin's folder (with a /, or .).")
    ],
    options: Annotated[
        list[str] | None, typer.Argument(help="Options for pytest, after --.", show_default=False)
    ] = None,
    only: Annotated[
        str | None, typer.Option("-k", metavar="WORDS", help="Only the tests whose names match.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write JUnit XML of each test; with --live, the page of what was seen.",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Test a provider on a real account: it makes a node there."),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option("--max-cost", min=0, help="With --live: the most it may cost, in USD."),
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Run the contract that every provider and every check must keep. Exit code 1: it is broken.

    With --live, look at what can be shown on a real account instead: one node of the cheapest size
    in the config's first location, destroyed at the end however it ends.
    """
    if live:
        from spotdeploy.cli.live_test import run_live

        if only or options:
            raise ConfigError(
                "-k and options of pytest choose contract tests, and --live runs none",
                hint="leave them out, or --live",
            )
        raise typer.Exit(run_live(name, config, max_cost, report))
    if max_cost is not None:
        raise ConfigError("--max-cost goes with --live", hint="add --live, or leave it out")
    from spotdeploy.scaffold.contract_run import run_contract

    chosen = ["-k", only] if only else []
    written = [f"--junitxml={report.absolute()}"] if report else []
    raise typer.Exit(run_contract(name, [*chosen, *written, *(options or ())]))


def show_plugins(plugins: Plugins, *, as_json: bool) -> None:
    """Print every installed plugin and what it gives; a broken one is shown with its error."""
    rows = [(point.name, _distribution(point), _gives(plugins, point)) for point in plugins.known()]
    if as_json:
        data = [dict(zip(("plugin", "from", "gives"), row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(data, indent=2) + "\n")
    else:
        sys.stdout.write(table([HEADER, *rows]) + "\n")


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def _gives(plugins: Plugins, point: EntryPoint) -> str:
    try:
        gives = []
        if plugins.provider_of(point.name):
            gives.append(f"provider {plugins.provider(point.name).name}")
        if classes := plugins.checks_of(point.name):
            gives.append(f"checks {', '.join(sorted(cls.kind for cls in classes))}")
    except SpotdeployError as error:
        return f"broken: {error.message}"
    return "; ".join(gives) or "nothing"
