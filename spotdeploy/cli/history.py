"""`spotdeploy history`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json


def command(
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs.")] = 20,
    json: Json = False,
) -> None:
    """List the runs of this deployment, newest first."""
    from spotdeploy.cli.opening import read_settings
    from spotdeploy.cli.past_runs import show_history
    from spotdeploy.state.journal import Journal

    settings, _ = read_settings(config, None)
    journal = Journal(settings.state / "journal.db")
    records = journal.runs(settings.config.deployment)
    journal.close()
    show_history(settings.state, records[:limit], as_json=json)
