"""A run without machines, played in this process by the phases themselves: nodes are asked for,
taken as good, and ended by policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from spotdeploy.api import Project
from spotdeploy.cycle.groups import worth_running
from spotdeploy.cycle.policy import Progress
from spotdeploy.model import Offer, Phase, Verdict
from spotdeploy.node import keys
from spotdeploy.phases.create import batch_template, create
from spotdeploy.run.context import Run
from spotdeploy.run.verdict import NodeOutcome


def write_project(folder: Path, tables: Mapping[str, Any], count: int) -> Project:
    """A project of so many nodes of each provider. `tables` are what `[provider.NAME]` has."""
    config = {
        "deployment": "phases",
        "keep": "never",
        "providers": list(tables),
        "nodes": {"count": count, "market": "spot-then-on-demand", "time_to_live": "30m"},
        "payload": {"path": "payload", "entry": "go.sh", "reboot": False},
        "timeouts": {"destroy": "60s"},
        "provider": dict(tables),
    }
    (folder / "payload").mkdir()
    entry = folder / "payload/go.sh"
    entry.write_text("true\n", "utf-8")
    entry.chmod(0o755)
    path = folder / "spotdeploy.toml"
    path.write_text(tomli_w.dumps(config), "utf-8")
    return Project.open(path)


async def make_nodes(run: Run, offers: Mapping[str, Mapping[str, Sequence[Offer]]]) -> Progress:
    """Ask for the nodes, and take those that are worth it as good. `offers` are the plan's."""
    pair = keys.make(run.project.keys_folder, run.deployment)
    nodes, refused = await create(run, offers[run.group], batch_template(run, pair))
    good = worth_running(run, nodes)
    return Progress(
        nodes=tuple(NodeOutcome(node, Verdict.PASSED, Phase.VERIFY) for node in good),
        created={run.group: len(nodes)},
        refusals=refused,
        unanswered=[one for one in run.journal.open_intents(run.deployment) if one.run == run.id],
    )
