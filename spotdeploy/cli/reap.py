"""`spotdeploy reap`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
import typer

from spotdeploy import labels
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers
from spotdeploy.cli.tables import table
from spotdeploy.model import Resource
from spotdeploy.phases.reap import Find, Search
from spotdeploy.run.verdict import Receipt, Verdict


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    yes: bool = typer.Option(False, "--yes", help="End what was found, instead of showing it."),
    json: Json = False,
) -> None:
    """Find what is overdue, whoever made it; with --yes, end it.

    Looks in every location of the account for nodes past their time to live, and for what is left
    of runs that have no node any more. Touches nothing without spotdeploy's labels. Needs no
    config file when --provider says where to look.
    """
    import asyncio

    from spotdeploy.cli.opening import new_registry, read_settings
    from spotdeploy.cli.reap import show_overdue
    from spotdeploy.config.schema import Config as Whole
    from spotdeploy.config.schema import Settings
    from spotdeploy.phases.reap import reap, search
    from spotdeploy.project import open_everywhere
    from spotdeploy.run.location import Location

    if provider and config == DEFAULT_CONFIG and not config.exists():
        names = tuple(dict.fromkeys(provider))
        settings = Settings(config=Whole(deployment="reap"), path=config.absolute())
    else:
        settings, names = read_settings(config, provider)
    opened = open_everywhere(new_registry(settings), settings, names)
    locations = [Location(*one) for one in opened]

    async def work() -> tuple[list[Search], Receipt | None]:
        found = await asyncio.gather(*map(search, locations))
        overdue = any(one.overdue for one in found)
        desired = yes and overdue
        return found, await reap(found, settings.config.timeouts.destroy) if desired else None

    try:
        found, receipt = asyncio.run(work())
    finally:
        for location in locations:
            location.close()
    raise typer.Exit(show_overdue(found, receipt, as_json=json))


HEADER = ("WHAT", "PROVIDER", "PLACE", "DEPLOYMENT", "RUN", "WHY")


def show_overdue(found: Sequence[Search], receipt: Receipt | None, *, as_json: bool) -> int:
    """Print what was found and, where it was ended, the receipt.

    Returns the exit code: 4 when something could not be proven gone, 3 when a location could not
    be asked, else 0.
    """
    if as_json:
        data = {
            "overdue": [_as_data(find) for one in found for find in one.overdue],
            "alive": sum(one.alive for one in found),
            "errors": {str(one.location): one.error for one in found if one.error},
            "receipt": receipt,
        }
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(data)).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found, receipt)) + "\n")
    if receipt and not receipt.clean:
        return Verdict.LEAKED.exit_code
    unasked = any(one.error for one in found)
    return Verdict.INFRASTRUCTURE_FAILED.exit_code if unasked else Verdict.PASSED.exit_code


def _lines(found: Sequence[Search], receipt: Receipt | None) -> list[str]:
    overdue = [find for one in found for find in one.overdue]
    lines = [table([HEADER, *map(_row, overdue)]), ""] if overdue else []
    alive = sum(one.alive for one in found)
    within = f"; {alive} more within their time to live" if alive else ""
    many = "location" if len(found) == 1 else "locations"
    lines.append(f"{len(overdue)} overdue in {len(found)} {many}{within}")
    lines += [f"could not ask {one.location}: {one.error}" for one in found if one.error]
    if overdue and receipt is None:
        lines.append("nothing was changed; to end what is overdue: spotdeploy reap --yes")
    if receipt:
        gone = len(receipt.destroyed) + len(receipt.released)
        lines.append(f"{gone} gone, proven by {receipt.listings} listings")
        lines += [f"not proven gone: {what}" for what in receipt.left]
    return lines


def _row(find: Find) -> tuple[str, ...]:
    thing = find.thing
    what = f"{thing.kind} {thing.id}" if isinstance(thing, Resource) else thing.name
    run = thing.labels.get(labels.RUN, "-")
    return (what, thing.provider, thing.location, find.deployment or "-", run, find.why)


def _as_data(find: Find) -> dict[str, object]:
    kind = find.thing.kind if isinstance(find.thing, Resource) else "node"
    return {"kind": kind, "why": find.why, "thing": find.thing}
