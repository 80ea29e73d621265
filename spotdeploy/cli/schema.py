"""`spotdeploy schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config
from spotdeploy.config.json_schema import events_schema_text, schema_text
from spotdeploy.matrix.report import matrix_report_schema_text
from spotdeploy.phases.facts import facts_schema_text
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.report.model import report_schema_text
from spotdeploy.run.inventory import inventory_schema_text


def command(
    config: Config = DEFAULT_CONFIG,
    events: Annotated[
        bool, typer.Option("--events", help="That of a line of events.jsonl instead.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="That of report.json and a run's --json instead.")
    ] = False,
    export: Annotated[
        bool, typer.Option("--export", help="That of 'export --format json' instead.")
    ] = False,
    matrix_report: Annotated[
        bool, typer.Option("--matrix-report", help="That of a matrix's report.json instead.")
    ] = False,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="That of nodes.json, which a node is given, instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of spotdeploy.toml."""
    others = (
        (events, events_schema_text),
        (report, report_schema_text),
        (nodes, facts_schema_text),
        (export, inventory_schema_text),
        (matrix_report, matrix_report_schema_text),
    )
    for asked, text in others:
        if asked:
            typer.echo(text())
            return
    plugins: tuple[str, ...] = ()
    known = Plugins()
    if config.exists():
        project = Project.open(config)
        known, plugins = project.plugins, project.config.plugins
    typer.echo(schema_text(known, plugins))
