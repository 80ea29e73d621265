"""`spotdeploy report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Run


def command(
    run: Run = "last",
    config: Config = DEFAULT_CONFIG,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page here too.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write junit.xml here too.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    json: Json = False,
) -> None:
    """Show how a run ended, and where its report is."""
    from spotdeploy.cli.opening import read_settings
    from spotdeploy.cli.past_runs import show_report
    from spotdeploy.report.run_store import find_run

    settings, _ = read_settings(config, None)
    page = show_report(find_run(settings.state, run), as_json=json, html=html, junit=junit)
    if open_it:
        typer.launch(page.resolve().as_uri())
