"""`spotdeploy cycle`."""

from __future__ import annotations

from typing import Annotated

import typer

from spotdeploy.cli.options import (
    DEFAULT_CONFIG,
    Config,
    Deployment,
    Events,
    EvidenceChoice,
    Json,
    Keep,
    Only,
    Providers,
    Wait,
)


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    keep: Keep = None,
    evidence: EvidenceChoice = None,
    events: Events = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="Run so many cycles and compare them.")
    ] = 1,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Run again when the config, the payload or a check's file changes."
        ),
    ] = False,
    only: Only = None,
    failed: Annotated[
        bool,
        typer.Option(
            "--failed", help="Only what did not pass in the last cycle; nothing when all did."
        ),
    ] = False,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Destroy, create and verify, and end with a verdict.

    In an empty folder it offers to write the reference payload, and runs that.
    """
    from spotdeploy.cli.run import RunOptions, run_command

    if not (config.exists() or json):
        from spotdeploy.cli.init import offer

        offer(config)

    options = RunOptions(
        "cycle",
        config,
        provider,
        json,
        keep,
        evidence,
        events,
        wait,
        only=only,
        failed=failed,
        deployment=deployment,
    )
    if watch or repeat > 1:
        from spotdeploy.cli.repeat import run_again

        run_again(options, repeat, watch=watch)
    run_command(options)
