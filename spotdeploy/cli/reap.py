"""`spotdeploy reap`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from typing import Final

import typer

from spotdeploy import labels
from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Only, Providers
from spotdeploy.cli.tables import json_text, table
from spotdeploy.model import Resource, Verdict
from spotdeploy.phases.reap import Expired, Search, reap, search
from spotdeploy.project import Project
from spotdeploy.run.location import Location
from spotdeploy.run.verdict import Receipt
from spotdeploy.text import counted, plain


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    only: Only = None,
    yes: bool = typer.Option(False, "--yes", help="End what was found, instead of listing it."),
    json: Json = False,
) -> None:
    """List expired resources of every deployment; --yes ends them.

    Looks in every location of the account for nodes whose time to live ended 10 minutes ago (until
    then they may be ending themselves), and for what is left of runs that have no node any more.
    Touches nothing without spotdeploy's labels. Needs no config file when --provider says where to
    look. With --only, it is about the cells of the matrix that are selected and no others.
    """
    if provider and config == DEFAULT_CONFIG and not config.exists():
        project = Project.without_config(config, "reap", provider)
    else:
        project = Project.open(config, providers=provider)
    matrix = matrix_of(project, only)
    project = matrix.all_providers if matrix else project
    wanted = {cell.name for cell in matrix.cells} if matrix and only else None
    locations = [Location(*one, _tell) for one in project.open_all_locations()]
    try:
        found, receipt = asyncio.run(_search_and_reap(project, locations, wanted, reap_them=yes))
    finally:
        for location in locations:
            location.close()
    raise typer.Exit(show_expired(found, receipt, as_json=json))


def _tell(text: str) -> None:
    sys.stderr.write(f"{plain(text)}\n")


async def _search_and_reap(
    project: Project,
    locations: Sequence[Location],
    wanted: Collection[str] | None,
    *,
    reap_them: bool,
) -> tuple[list[Search], Receipt | None]:
    """What was found of the deployments `wanted`, or of all, and the proof that it was ended."""
    found = await asyncio.gather(*map(search, locations))
    if wanted is not None:
        found = [one.of_deployments(wanted) for one in found]
    if not reap_them or not any(one.expired for one in found):
        return found, None
    return found, await reap(found, project.config.timeouts.destroy)


HEADER: Final = ("WHAT", "PROVIDER", "PLACE", "DEPLOYMENT", "RUN", "WHY")


def show_expired(found: Sequence[Search], receipt: Receipt | None, *, as_json: bool) -> int:
    """Print what was found and, where it was ended, the receipt.

    Returns the exit code: 4 when something could not be proven gone, 3 when a location could not
    be asked, else 0.
    """
    if as_json:
        data = {
            "overdue": [_as_data(find) for one in found for find in one.expired],
            "alive": sum(one.alive for one in found),
            "errors": {str(one.location): one.error for one in found if one.error},
            "receipt": receipt,
        }
        sys.stdout.write(json_text(data) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(found, receipt)) + "\n")
    if receipt and not receipt.clean:
        return Verdict.LEAKED.exit_code
    unasked = any(one.error for one in found)
    return Verdict.INFRASTRUCTURE_FAILED.exit_code if unasked else Verdict.PASSED.exit_code


def _lines(found: Sequence[Search], receipt: Receipt | None) -> list[str]:
    expired = [find for one in found for find in one.expired]
    lines = [table([HEADER, *map(_row, expired)]), ""] if expired else []
    alive = sum(one.alive for one in found)
    within = f"; {alive} more within their time to live" if alive else ""
    lines.append(f"{len(expired)} expired in {counted(len(found), 'location')}{within}")
    lines += [f"could not ask {one.location}: {one.error}" for one in found if one.error]
    if expired and receipt is None:
        lines.append("nothing was changed; to end what has expired: spotdeploy reap --yes")
    if receipt:
        gone = len(receipt.destroyed) + len(receipt.released)
        lines.append(f"{gone} gone, proven by {receipt.listings} listings")
        lines += [f"not proven gone: {what}" for what in receipt.left]
    return lines


def _row(find: Expired) -> tuple[str, ...]:
    thing = find.thing
    what = f"{thing.kind} {thing.id}" if isinstance(thing, Resource) else thing.name
    run = thing.labels.get(labels.RUN, "-")
    return (what, thing.provider, thing.location, find.deployment or "-", run, find.why)


def _as_data(find: Expired) -> dict[str, object]:
    kind = find.thing.kind if isinstance(find.thing, Resource) else "node"
    return {"kind": kind, "why": find.why, "thing": find.thing}
