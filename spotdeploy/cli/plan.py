"""`spotdeploy plan`."""

from __future__ import annotations

import sys

import msgspec

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers
from spotdeploy.cli.tables import table
from spotdeploy.cycle.budget import expected_cost
from spotdeploy.duration import spell
from spotdeploy.model import Offer
from spotdeploy.phases.plan import Prospects
from spotdeploy.run.context import Plan, Session


def command(
    config: Config = DEFAULT_CONFIG, provider: Providers = None, json: Json = False
) -> None:
    """Show what a cycle would do; changes nothing."""
    import asyncio

    from spotdeploy.cli.opening import new_registry, opened, read_settings
    from spotdeploy.cli.plan import show_plan
    from spotdeploy.events import Bus
    from spotdeploy.phases.plan import foresee, read_plan

    settings, providers = read_settings(config, provider)
    registry = new_registry(settings)
    read = read_plan(registry, settings)
    with opened(settings, registry, providers, Bus()) as session:
        prospects = asyncio.run(foresee(session))
        show_plan(session, read, prospects, as_json=json)


HEADER = ("PROVIDER", "PLACE", "SIZE", "MARKET", "USD/HOUR", "WHAT PROTECTS A NODE")
SHOWN = 40


def show_plan(session: Session, plan: Plan, prospects: Prospects, *, as_json: bool) -> None:
    """Print what would be shipped, from where nodes would come, and what would be checked."""
    if as_json:
        data = {
            "deployment": session.deployment,
            "wanted": session.desired,
            "digest": plan.manifest.digest,
            "bytes": plan.manifest.size,
            "files": [entry.path for entry in plan.manifest.entries],
            "offers": prospects.offers,
            "protection": prospects.auto_shutdown,
            "checks": [check.name for check in plan.checks],
            "expected_cost": expected_cost(session, prospects),
        }
        text = msgspec.json.format(msgspec.json.encode(data)).decode()
    else:
        text = "\n".join(_lines(session, plan, prospects))
    sys.stdout.write(text + "\n")


def _lines(session: Session, plan: Plan, prospects: Prospects) -> list[str]:
    nodes = session.settings.config.nodes
    offers = [offer for some in prospects.offers.values() for offer in some]
    rows = [_row(offer, prospects) for offer in offers[:SHOWN]]
    more = [f"... and {len(offers) - SHOWN} more"] if len(offers) > SHOWN else []
    return [
        f"{session.deployment}: {session.desired} nodes, {session.quorum} are enough",
        f"payload: {len(plan.manifest.entries)} files, {plan.manifest.size} bytes, "
        f"digest {plan.manifest.digest[:12]}",
        f"time to live: {spell(nodes.time_to_live)}",
        f"expected cost: {expected_cost(session, prospects) or 'unknown'}",
        "",
        "candidates, tried from the top:",
        table([HEADER, *rows]),
        *more,
        "",
        "checks:",
        *(
            f"  {check.name} (within {check.settings.within}"
            + (f", stable for {check.settings.stable_for})" if check.settings.stable_for else ")")
            for check in plan.checks
        ),
    ]


def _row(offer: Offer, prospects: Prospects) -> tuple[str, ...]:
    price = "unknown" if offer.usd_per_hour is None else f"{offer.usd_per_hour:.4f}"
    return (
        offer.provider,
        offer.zone or offer.location,
        offer.size,
        str(offer.market),
        price,
        prospects.auto_shutdown.get(f"{offer.provider} {offer.location}", "-"),
    )
