"""report.html: one file that needs nothing else, for eyes. No script, no request to anywhere."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from spotdeploy.duration import spell
from spotdeploy.report.event_log import EVENTS, JUNIT, REPORT
from spotdeploy.report.html.clouds import clouds
from spotdeploy.report.html.findings import attachments, findings
from spotdeploy.report.html.matrix import matrix
from spotdeploy.report.html.timeline import picture, thin_picture, tone
from spotdeploy.report.model import RunReport
from spotdeploy.report.story import Lane, Story
from spotdeploy.run.cost import HOUR, spell_usd

TEMPLATES: Final = Path(__file__).parent / "templates"
COMPILED: Final = TEMPLATES / "__pycache__"
WORDS: Final = 320
LOG_LIMIT: Final = 500
LISTED: Final = 40
"""Up to so many nodes, their table is open."""
_TONES: Final = {
    "passed": "good",
    "payload failed": "bad",
    "infrastructure failed": "infra",
    "leaked": "bad",
}
_HEADLINES: Final = {
    "passed": "Passed",
    "payload failed": "Payload failed",
    "leaked": "Leaked",
    "infrastructure failed": "Infrastructure failed",
    "stopped by the user": "Stopped",
    "refused": "Refused",
    "unfinished": "Never finished",
}


def render(story: Story, report: RunReport, folder: Path, target: Path | None = None) -> str:
    """The page for a run whose folder is `folder`. `target` is where the page will lie, when that
    is not the folder itself: its links lead from there."""
    root = _root(folder, target)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled(str(COMPILED)),
    )
    found = findings(story, folder, root)
    environment.filters.update(
        span=_span, usd=_usd, moment=_moment, size=_size, breakable=_breakable
    )
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    ours = Markup(style)  # noqa: S704  # our own file
    return environment.get_template("report.html.j2").render(
        story=story,
        report=report,
        style=ours,
        style_hash=_hash(style),
        headline=_HEADLINES.get(story.verdict, story.verdict),
        tone=_TONES.get(story.verdict, "muted"),
        sentence=_sentence(story),
        findings=found,
        explained=_explained(story),
        blocks=matrix(story),
        clouds=clouds(story, report),
        picture=picture(story),
        thin=thin_picture(story),
        phases=_phases(story.lanes),
        marks=_marks(story),
        rows=[_row(lane, story, folder, root) for lane in story.lanes],
        trouble="Trouble on the way" if story.verdict == "passed" else "What went wrong",
        listed=LISTED,
        log=_log(story),
        files=_files(folder, root),
    )


class _Compiled(FileSystemBytecodeCache):
    """Templates are compiled once, and kept where and when Python keeps compiled modules: compiling
    them takes longer than filling them in."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """As jinja2 asks."""
        with suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """As jinja2 asks."""
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                COMPILED.mkdir(exist_ok=True)
                super().dump_bytecode(bucket)


def _root(folder: Path, target: Path | None) -> str:
    if target is None or target.parent.resolve() == folder.resolve():
        return ""
    return quote(os.path.relpath(folder.resolve(), target.parent.resolve())) + "/"


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _sentence(story: Story) -> str:
    """The run's own words, or how many nodes did not pass when those would fill the page."""
    if len(story.message) <= WORDS and len(story.failed) <= 1:
        return story.message
    failed = len(story.failed)
    if not failed:
        return f"{story.message[:WORDS]}…"
    return f"{failed} of {len(story.lanes)} nodes did not pass"


def _explained(story: Story) -> bool:
    """True when the sentence at the top already says all that went wrong."""
    return len(story.failed) == 1 and story.verdict != "passed" and len(story.message) <= WORDS


def _phases(lanes: Sequence[Lane]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phase.name for lane in lanes for phase in lane.phases))


def _marks(story: Story) -> tuple[str, ...]:
    """The kinds of marks in the picture, for the legend."""
    notes = [mark for lane in story.lanes for mark in lane.marks] + list(story.marks)
    there = {
        "failed": any(lane.fate != "interrupted" for lane in story.failed),
        "interrupted": any(lane.fate == "interrupted" for lane in story.failed),
        "note": any(not mark.warning for mark in notes),
        "warning": any(mark.warning for mark in notes),
    }
    return tuple(kind for kind, present in there.items() if present)


def _row(lane: Lane, story: Story, folder: Path, root: str) -> dict[str, object]:
    seconds = (lane.gone or story.end) - lane.start
    usd = None if lane.usd_per_hour is None or not lane.made else seconds * lane.usd_per_hour / HOUR
    return {
        "lane": lane,
        "tone": tone(lane),
        "usd": usd,
        "seconds": seconds,
        "attachments": attachments(lane, folder, root),
    }


def _log(story: Story) -> list[tuple[float, str, str, bool]]:
    """Every note of the run: seconds since its start, whose, the text, whether it warns."""
    notes = [(mark, "") for mark in story.marks]
    notes += [(mark, lane.name) for lane in story.lanes for mark in lane.marks]
    notes.sort(key=lambda note: note[0].at)
    return [(m.at - story.start, who, m.text, m.warning) for m, who in notes[:LOG_LIMIT]]


def _files(folder: Path, root: str) -> list[tuple[str, str]]:
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
