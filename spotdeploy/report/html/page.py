"""report.html: one file that needs nothing else, for eyes. No script, no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from spotdeploy.duration import spell
from spotdeploy.labels import expires_at
from spotdeploy.model import Verdict
from spotdeploy.report.event_log import EVENTS, JUNIT, REPORT
from spotdeploy.report.html.clouds import clouds
from spotdeploy.report.html.findings import attachments, findings
from spotdeploy.report.html.matrix import matrix
from spotdeploy.report.html.timeline import picture, thin_picture, tone
from spotdeploy.report.model import BeforeReport, NodeReport, RunReport, worth_telling
from spotdeploy.run.cost import HOUR, Cost, spell_usd
from spotdeploy.text import counted

TEMPLATES: Final = Path(__file__).parent / "templates"
WORDS: Final = 320
LOG_LIMIT: Final = 500
LISTED: Final = 40
"""Up to so many nodes, their table is open."""
TONES: Final = {
    Verdict.PASSED: "good",
    Verdict.TESTS_FAILED: "bad",
    Verdict.PAYLOAD_FAILED: "bad",
    Verdict.INFRASTRUCTURE_FAILED: "infra",
    Verdict.LEAKED: "bad",
}
HEADLINES: Final = {
    Verdict.PASSED: "Passed",
    Verdict.TESTS_FAILED: "Tests failed",
    Verdict.PAYLOAD_FAILED: "Payload failed",
    Verdict.LEAKED: "Leaked",
    Verdict.INFRASTRUCTURE_FAILED: "Infrastructure failed",
    Verdict.STOPPED: "Stopped",
    Verdict.REFUSED: "Refused",
    Verdict.UNFINISHED: "Never finished",
}


def render(report: RunReport, folder: Path, target: Path | None = None) -> str:
    """The page for a run whose folder is `folder`. `target` is where the page will lie, when that
    is not the folder itself: its links lead from there."""
    root = root_of(folder, target)
    found = findings(report, folder, root)
    return rendered(
        "report.html.j2",
        report=report,
        headline=HEADLINES[report.verdict],
        tone=TONES.get(report.verdict, "muted"),
        sentence=_sentence(report),
        findings=found,
        explained=_explained(report),
        sections=matrix(report),
        tone_of=lambda verdict: TONES.get(verdict, "muted"),
        clouds=clouds(report),
        picture=picture(report),
        thin=thin_picture(report),
        phases=_phases(report.nodes),
        marks=_marks(report),
        tables=_node_tables(report, folder, root),
        trouble="Trouble on the way" if report.verdict is Verdict.PASSED else "What went wrong",
        listed=LISTED,
        log=_log(report),
        root=root,
        before=worth_telling(report.before),
        ends=max((expires_at(node.labels) or 0.0 for node in report.kept), default=0.0),
        logs=logs_of(report.before, folder),
        files=files_of(folder, root),
    )


def rendered(template: str, **values: object) -> str:
    """A template of ours with these values, our style and our filters."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    ours = Markup(style)  # noqa: S704  # our own file
    return (
        _environment().get_template(template).render(style=ours, style_hash=_hash(style), **values)
    )


@cache
def _environment() -> Environment:
    """It keeps what templates were compiled to: the cells of a matrix each have a page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        span=_span, usd=_usd, moment=_moment, size=_size, breakable=_breakable
    )
    return environment


def root_of(folder: Path, target: Path | None) -> str:
    """What the links of a page at `target` to files of `folder` begin with."""
    if target is None or target.parent.resolve() == folder.resolve():
        return ""
    return quote(os.path.relpath(folder.resolve(), target.parent.resolve())) + "/"


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _sentence(report: RunReport) -> str:
    """The run's own words, or how many nodes did not pass when those would fill the page."""
    if len(report.message) <= WORDS and len(report.failed) <= 1:
        return report.message
    if report.left:
        return f"{counted(len(report.left), 'thing')} not proven gone, named under What is left"
    failed = len(report.failed)
    if not failed:
        return f"{report.message[:WORDS]}…"
    return f"{failed} of {len(report.nodes)} nodes did not pass"


def _explained(report: RunReport) -> bool:
    """True when the sentence at the top already says all that went wrong."""
    return (
        len(report.failed) == 1
        and report.verdict is not Verdict.PASSED
        and len(report.message) <= WORDS
    )


def _phases(nodes: Sequence[NodeReport]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phase.name for node in nodes for phase in node.phases))


def _marks(report: RunReport) -> tuple[str, ...]:
    """The kinds of marks in the picture, for the legend."""
    notes = [mark for node in report.nodes for mark in node.marks] + list(report.marks)
    there = {
        "failed": any(not node.interrupted for node in report.failed),
        "interrupted": any(node.interrupted for node in report.failed),
        "note": any(not mark.warning for mark in notes),
        "warning": any(mark.warning for mark in notes),
    }
    return tuple(kind for kind, present in there.items() if present)


def _node_tables(
    report: RunReport, folder: Path, root: str
) -> list[tuple[str, list[dict[str, object]], Cost]]:
    """For each group that has nodes its name, their rows and what they cost."""
    whole = [("", report.nodes, report.cost)]
    of_groups = [(one.name, report.nodes_of(one.name), one.cost) for one in report.groups]
    return [
        (title, [_row(node, report, folder, root) for node in nodes], cost)
        for title, nodes, cost in (of_groups if report.grouped else whole)
        if nodes
    ]


def _row(node: NodeReport, report: RunReport, folder: Path, root: str) -> dict[str, object]:
    seconds = (node.gone or report.ended_at) - node.start
    usd = (
        None
        if node.usd_per_hour is None or not node.created
        else seconds * node.usd_per_hour / HOUR
    )
    return {
        "node": node,
        "tone": tone(node),
        "usd": usd,
        "seconds": seconds,
        "attachments": attachments(node, folder, root),
    }


def _log(report: RunReport) -> list[tuple[float, str, str, bool]]:
    """Every note of the run: seconds since its start, whose, the text, whether it warns."""
    notes = [(mark, "") for mark in report.marks]
    notes += [(mark, node.name) for node in report.nodes for mark in node.marks]
    notes.sort(key=lambda note: note[0].at)
    return [(m.at - report.started_at, who, m.text, m.warning) for m, who in notes[:LOG_LIMIT]]


def logs_of(before: Sequence[BeforeReport], folder: Path) -> set[str]:
    """The files with what tests wrote that are there."""
    return {one.log for one in before if one.log and (folder / one.log).exists()}


def files_of(folder: Path, root: str) -> list[tuple[str, str]]:
    """The other files of a run, each with its link."""
    names = (EVENTS, REPORT, JUNIT)
    return [(name, f"{root}{name}") for name in names if (folder / name).exists()]


def _span(seconds: float) -> str:
    return spell(round(seconds, 1) if seconds < 60 else round(seconds))


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else spell_usd(amount)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _size(count: int) -> str:
    return f"{count} B" if count < 1024 else f"{count / 1024:.0f} KiB"


def _breakable(name: str) -> Markup:
    """A long name that a narrow column may break after a slash."""
    return Markup("/<wbr>").join(escape(part) for part in name.split("/"))
