"""`spotdeploy diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Run


def command(
    before: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    after: Run = "last",
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Show what changed from one run to another: checks, times."""
    from spotdeploy.project import Project
    from spotdeploy.report.compare import compare, show_difference
    from spotdeploy.report.run_store import find_run, read_report

    state = Project.open(config).state
    reports = [read_report(find_run(state, run)) for run in (before, after)]
    show_difference(compare(*reports), as_json=json)
