"""A live test from its beginning to its end: bounded cost, and proof that nothing is left."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.duration import Duration
from spotdeploy.events import Bus
from spotdeploy.live.findings import Findings, Promise
from spotdeploy.live.looks import Looks, require_offers
from spotdeploy.live.page import names_in
from spotdeploy.model import Batch
from spotdeploy.node import keys
from spotdeploy.phases.create import batch_template
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.findings import examine_locations, require_none_fatal
from spotdeploy.project import Project
from spotdeploy.run.cancellation import clear_cancellation, finish_despite_cancel
from spotdeploy.run.context import open_run
from spotdeploy.run.location import Location
from spotdeploy.state.lock import locked

LIFE: Final = Duration("30m")
"""How long a node lives at most, if this process is killed too."""
PACKED: Final = b"\x1f\x8b"
COMMENT: Final = b"# "
MOST_NODES: Final = 2
"""One that is made, and one that should have been refused."""


def live_project(path: Path, provider: str, max_cost: float) -> Project:
    """The project of a live test: the provider's table of the config at `path`, where there is one,
    and a deployment of its own.

    Raises ConfigError.
    """
    if path.exists():
        project = Project.open(path, providers=[provider])
    else:
        project = Project.without_config(path, "live", [provider])
    nodes = msgspec.structs.replace(
        project.config.nodes,
        count=1,
        quorum=None,
        max_price=max_cost / (MOST_NODES * LIFE / 3600),
        time_to_live=LIFE,
        open_ports=(),
    )
    config = msgspec.structs.replace(
        project.config,
        deployment=f"live-{secrets.token_hex(4)}",
        nodes=nodes,
        max_cost=max_cost,
        groups={},
    )
    settings = msgspec.structs.replace(project.settings, config=config, groups={})
    return replace(project, settings=settings)


async def live_test(
    project: Project, bus: Bus, tell: Callable[[Promise], None]
) -> tuple[Findings, Mapping[str, str]]:
    """Look at every promise in the provider's first location, and destroy what was made, however it
    ends. `tell` hears of each promise as soon as it was looked at. Cancelling ends what was made
    first, and is no error. Returns what was found, and what in it names the account or what was
    made in it, with what to call that.

    Raises SpotdeployError for what was refused before anything was made.
    """
    with locked(project.deployment, "plugins test"), open_run(project, {}, bus) as opened:
        run = replace(opened, locations=opened.locations[:1], parts=())
        (location,) = run.locations
        require_none_fatal(await examine_locations(project, run.locations))
        found = await location.offers(run.pool)
        offers = require_offers(found, run.pool, location.provider.name)
        pair = keys.make(project.keys_folder, project.deployment)
        looks = Looks(run, offers, _filled(batch_template(run, pair), location), pair, tell)
        stopped = False
        try:
            await looks.look()
        except asyncio.CancelledError:
            stopped = True
            clear_cancellation()
        finally:
            receipt, _ = await finish_despite_cancel(destroy(run))
        findings = Findings(
            provider=location.provider.name,
            location=location.name,
            size=looks.offer.size,
            market=looks.offer.market,
            usd_per_hour=looks.offer.usd_per_hour,
            max_cost=project.config.max_cost or 0.0,
            user_data_limit=location.provider.user_data_limit,
            promises=tuple(looks.promises),
            timings=tuple(looks.timings),
            refusals=tuple(looks.refusals),
            left=receipt.left,
            stopped=stopped,
        )
        table = project.config.provider.get(findings.provider, {})
        return findings, {**looks.names, **dict(names_in(table))}


def _filled(template: Batch, location: Location) -> Batch:
    """The same with user-data of the size that the provider says its cloud takes."""
    limit = location.provider.user_data_limit
    script = template.user_data
    if script.startswith(PACKED):
        return template
    filling = COMMENT.ljust(limit, b".")[: limit - len(script)]
    return msgspec.structs.replace(template, user_data=script + filling)
