"""`spotdeploy plan`."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Deployment, Json, Only, Providers
from spotdeploy.cli.plan_cells import plan_data, show_plans
from spotdeploy.cli.tables import json_text, table
from spotdeploy.config.schema import Payload
from spotdeploy.cycle.budget import expected_cost
from spotdeploy.duration import spell
from spotdeploy.events import Bus
from spotdeploy.model import FileKind, Manifest, Offer, PayloadFile
from spotdeploy.payload.manifest import read_manifest
from spotdeploy.phases.placement import in_order
from spotdeploy.phases.plan import Prospects, ask_offers, read_plans
from spotdeploy.project import Project
from spotdeploy.run.context import Run, open_run
from spotdeploy.text import counted, plain

HEADER: Final = ("PROVIDER", "PLACE", "SIZE", "MARKET", "USD/HOUR", "AUTO-SHUTDOWN")
FILES_HEADER: Final = ("MODE", "BYTES", "PATH")
SHOWN: Final = 40


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    only: Only = None,
    files: Annotated[
        bool, typer.Option("--files", help="List what is shipped instead; no cloud is asked.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what a cycle would do; changes nothing."""
    project = Project.open(config, deployment=deployment, providers=provider)
    if files:
        for group in _with_own_payload(project):
            show_files(read_manifest(group.settings), as_json=json)
        return
    if matrix := matrix_of(project, only):
        show_plans(matrix, as_json=json)
        return
    with open_run(project, read_plans(project), Bus()) as run:
        show_plan(run, asyncio.run(ask_offers(run)), as_json=json)


def _with_own_payload(project: Project) -> Iterator[Project]:
    """The groups, without those that ship what another one does."""
    seen: list[Payload] = []
    for group in project.groups.values():
        if group.config.payload not in seen:
            seen.append(group.config.payload)
            yield group


def show_files(manifest: Manifest, *, as_json: bool) -> None:
    """Print every path that is shipped, with its mode and size on the node, and what they make."""
    total = f"{counted(len(manifest.files), 'file')}, {manifest.size} bytes"
    if as_json:
        entries = [_entry(entry) for entry in manifest.entries]
        text = json_text({"digest": manifest.digest, "bytes": manifest.size, "entries": entries})
    else:
        rows = [FILES_HEADER, *(_file_row(entry) for entry in manifest.entries)]
        text = f"{table(rows)}\n{total}, digest {manifest.digest[:12]}"
    sys.stdout.write(text + "\n")


def _entry(entry: PayloadFile) -> dict[str, object]:
    link = {"target": entry.target} if entry.kind is FileKind.LINK else {}
    mode = f"{entry.mode:04o}"
    return {"path": entry.path, "kind": entry.kind, "mode": mode, "bytes": entry.size, **link}


def _file_row(entry: PayloadFile) -> tuple[str, ...]:
    size = str(entry.size) if entry.kind is FileKind.FILE else "-"
    after = {FileKind.FOLDER: "/", FileKind.LINK: f" -> {entry.target}"}.get(entry.kind, "")
    return f"{entry.mode:04o}", size, f"{entry.path}{after}"


def show_plan(run: Run, prospects: Prospects, *, as_json: bool) -> None:
    """Print what would be shipped, from where nodes would come, and what would be checked."""
    text = json_text(plan_data(run, prospects)) if as_json else "\n".join(_lines(run, prospects))
    sys.stdout.write(text + "\n")


def _lines(run: Run, prospects: Prospects) -> list[str]:
    several = any(group.named for group in run.groups)
    must = "" if several else f", {_must_pass(run)}"
    return [
        f"{run.deployment}: {counted(run.desired, 'node')}{must}",
        f"expected cost: {expected_cost(run, prospects) or 'unknown'}",
        *(f"warning: {plain(text)}" for text in prospects.warnings),
        *(line for group in run.groups for line in _group_lines(group, prospects, several)),
    ]


def _group_lines(group: Run, prospects: Prospects, several: bool) -> list[str]:
    plan, nodes = group.plan, group.config.nodes
    offers = [*itertools.chain(*in_order(group, prospects.offers[group.group]))]
    rows = [_row(offer, prospects) for offer in offers[:SHOWN]]
    more = [f"... and {len(offers) - SHOWN} more"] if len(offers) > SHOWN else []
    after = f", after {' and '.join(group.project.after)}" if group.project.after else ""
    size = f"{counted(group.desired, 'node')}, {_must_pass(group)}"
    return [
        *(["", f"group {group.group}: {size}{after}"] if several else []),
        f"payload: {counted(len(plan.manifest.files), 'file')}, {plan.manifest.size} bytes, "
        f"digest {plan.manifest.digest[:12]}",
        f"time to live: {spell(nodes.time_to_live)}",
        *_placement(group),
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


def _placement(group: Run) -> Iterator[str]:
    """Which providers share the nodes, where there is a choice."""
    count, providers = counted(group.config.nodes.count, "node"), " and ".join(group.providers)
    how = {
        "each": f"{count} on each of {providers}",
        "cheapest": f"{count} in all on {providers}, walked by price",
        "ordered": f"{count} in all on {providers}, the first one first",
    }
    if len(group.providers) > 1:
        yield f"placement: {how[group.config.nodes.placement]}"


def _must_pass(run: Run) -> str:
    if run.quorum < run.desired:
        return f"{run.quorum} must pass"
    return "it must pass" if run.desired == 1 else "all must pass"


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
