"""`spotdeploy prune`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer

from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.options import DEFAULT_CONFIG, Config, Json, Providers
from spotdeploy.cli.tables import json_text, table
from spotdeploy.model import Cached
from spotdeploy.project import Project
from spotdeploy.provider import SupportsPrune

HEADER: Final = ("WHAT", "PROVIDER", "MB")
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a provider keeps, and the one of its objects that removes it."""

    name: str
    provider: SupportsPrune
    thing: Cached


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    everything: bool = typer.Option(
        False, "--all", help="What this config needs too: the next run makes it again."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="List it and remove nothing."),
    json: Json = False,
) -> None:
    """Free disk space: remove images that no node uses.

    Providers keep images on this computer to be faster. Those that no node uses and that this
    config, with all its groups and cells, does not need are removed, whatever config they were
    made for. Needs no config file when --provider says where to look. Touches nothing in a cloud.
    """
    if provider and config == DEFAULT_CONFIG and not config.exists():
        project = Project.without_config(config, "prune", provider)
    else:
        project = Project.open(config, providers=provider)
    matrix = matrix_of(project, None)
    found = find(list(matrix.everything.values()) if matrix else [project])
    chosen = [one for one in found if everything or not one.thing.needed]
    kept = len(found) - len(chosen)
    gone = chosen if dry_run else [one for one in chosen if one.provider.discard([one.thing])]
    show(gone, kept, dry_run=dry_run, as_json=json)


def find(projects: Sequence[Project]) -> list[Found]:
    """What the providers in use keep and no node uses, by kind and id. It is needed when any of the
    projects needs it. Raises what the providers raise."""
    found: dict[tuple[str, str, str], Found] = {}
    for provider in (one for project in projects for one in project.open_for_each_group()):
        if isinstance(provider, SupportsPrune):
            for thing in provider.cached():
                key = (provider.name, thing.kind, thing.id)
                if key not in found or thing.needed:
                    found[key] = Found(provider.name, provider, thing)
    return [found[key] for key in sorted(found)]


def show(gone: Sequence[Found], kept: int, *, dry_run: bool, as_json: bool) -> None:
    """Print what was removed, or would be, and how much of the disk that is."""
    freed = sum(one.thing.size for one in gone)
    if as_json:
        things = [{"provider": one.name, "thing": one.thing} for one in gone]
        data = {"dry_run": dry_run, "removed": things, "bytes": freed, "kept": kept}
        sys.stdout.write(json_text(data) + "\n")
        return
    lines = [table([HEADER, *map(_row, gone)]), ""] if gone else []
    done = "would be removed" if dry_run else "removed"
    lines.append(f"{len(gone)} {done}, {freed / _MB:.0f} MB")
    if kept:
        lines.append(f"{kept} unused but needed by this config; spotdeploy prune --all removes it")
    sys.stdout.write("\n".join(lines) + "\n")


def _row(one: Found) -> tuple[str, ...]:
    return f"{one.thing.kind} {one.thing.id}", one.name, f"{one.thing.size / _MB:.0f}"
