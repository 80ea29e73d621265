"""Whatever nodes say, what shows it stays what it is: a line, a table, a page, a document."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.cli.debug import show_diagnostics
from spotdeploy.cli.live import LiveScreen
from spotdeploy.cli.screen import PlainScreen, Screen
from spotdeploy.events import (
    Bus,
    CheckAnswered,
    Event,
    EvidenceKept,
    NodeCreated,
    NodeEnded,
    Note,
    OfferTried,
    PhaseEnded,
    PhaseStarted,
    RunEnded,
    RunStarted,
)
from spotdeploy.model import Node, NodeState, Phase, Verdict
from spotdeploy.node.diagnostics import DIAGNOSTICS
from spotdeploy.phases.evidence import INDEX, Item
from spotdeploy.report import github
from spotdeploy.report.event_log import EVENTS, JUNIT, PAGE, REPORT, EventLog
from spotdeploy.report.html.findings import findings
from spotdeploy.report.run_store import read_report
from spotdeploy.report.writer import write_reports
from spotdeploy.run.verdict import CheckOutcome, NodeOutcome, Outcome, Refusal
from spotdeploy.text import below, plain
from tests.properties.effort import FEW, USUAL

NASTY = (
    "\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b31m",
    "\x9d0;t\x9c",
    "\x1bP$q\x1b\\",
    "\x1b[2J\x1b[H",
    "\x00",
    "\x07",
    "\x08" * 4,
    "\r",
    "\x85",
    "\u202egpj.exe",
    "\u2066x\u2069",
    "\u2028",
    "\u200f",
    "\ud800",
    "\udcff",
    "\ufffe",
    "\U000e0041",
    "<script>alert(1)</script>",
    "</pre></details><img src=x onerror=alert(1)>",
    "'\"><svg/onload=a>",
    "{{7*7}}",
    "{% raw %}",
    "]]>",
    "&#0;",
    "<!--",
    "<?xml",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "\n::error::forged",
    "\r\n::set-output name=a::b",
    "%0A::warning::x",
    "\n::add-mask::x",
    "\n# heading\n\n[a](http://evil)",
    "|a|b|\n|-|-|",
    "```",
    "[/red]",
    "[link=http://evil]x",
    "[/]",
    ":smile:",
    "\nPASSED: all 3 nodes are healthy",
    "\nexit code 0",
    "%s%n{0}",
    "\\u0000",
    "x" * 9000,
    "a" * 300 + "\n" * 300,
)
NODE_TEXT = st.lists(
    st.sampled_from(NASTY) | st.text(max_size=8) | st.characters(), max_size=6
).map("".join)
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
RUN = "20270115-080000-abc123"


def events(output: Sequence[str]) -> list[Event]:
    """One run of one node, which says these things wherever it may."""
    a, b, c, d = output
    node = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
    return [
        RunStarted(
            run=RUN,
            command="cycle",
            deployment="demo",
            providers=("fake",),
            digest="d" * 64,
            desired=1,
            checks=("http",),
        ),
        OfferTried(
            provider="fake",
            location="here",
            zone=None,
            size="s",
            market="spot",
            asked=2,
            got=1,
            refusal=a,
        ),
        NodeCreated(
            node=node.id,
            name=node.name,
            provider="fake",
            location="here",
            zone=None,
            size="s",
            market="spot",
            usd_per_hour=None,
        ),
        Note(text=b, node=node.id, warning=True),
        PhaseStarted(node=node.id, phase="verify"),
        CheckAnswered(node=node.id, check="http", ok=False, settled=False, detail=d),
        CheckAnswered(node=node.id, check="http", ok=False, settled=True, detail=c),
        PhaseEnded(node=node.id, phase="verify", ok=False, seconds=1.0, detail=d),
        EvidenceKept(node=node.id, folder="evidence/x", files=1, problem=a),
        NodeEnded(node=node.id, verdict=Verdict.PAYLOAD_FAILED, detail=b),
        RunEnded(run=RUN, verdict=Verdict.PAYLOAD_FAILED, exit_code=1, detail=c),
    ]


def outcome(output: Sequence[str]) -> Outcome:
    a, b, c, d = map(plain, output)  # what phases leave of it
    node = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
    checks = (CheckOutcome("http", False, c), CheckOutcome("tcp", False, d))
    one = NodeOutcome(node, Verdict.PAYLOAD_FAILED, Phase.VERIFY, b, checks)
    refusals = (Refusal("fake here s spot", 2, 1, a),)
    return Outcome(RUN, "demo", Verdict.PAYLOAD_FAILED, d, 1, (one,), refusals)


def write_evidence(folder: Path, text: str) -> None:
    """As the evidence phase writes it, and as a stranger might have left it."""
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    items = [Item("a.txt", "the log", len(text), complete=True, problem=plain(text))]
    (folder / INDEX).write_bytes(msgspec.json.encode(items))


def show(screen: Screen, output: Sequence[str]) -> None:
    bus = Bus(screen)
    with screen:
        for event in events(output):
            bus.emit(event)
            if isinstance(screen, LiveScreen):
                screen._live.refresh()
    screen.conclude(outcome(output))


class Terminal(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


SAID = st.tuples(*[NODE_TEXT] * 4)


@USUAL
@given(output=SAID)
@example(output=("[/red]",) * 4)
@example(output=("\ud800",) * 4)
@example(output=("\nPASSED: 1 node is healthy",) * 4)
def test_the_screen_shows_no_control_and_no_line_that_a_node_made_up(
    output: tuple[str, ...],
) -> None:
    stream = io.StringIO()
    show(PlainScreen(stream), output)
    shown = stream.getvalue()
    shown.encode()
    assert not OBEYED.search(shown)
    own = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    kinds = ("cycle of demo", "NODE", "demo-1 ", "short: fake here s spot", "PAYLOAD FAILED")
    assert all(line.startswith(kinds) for line in own), own
    assert len(shown) < 60_000


@FEW
@given(output=SAID)
@example(output=("[/red]", "[link=x]", ":smile:", "[/]"))
def test_the_live_table_is_no_markup_of_a_nodes(output: tuple[str, ...]) -> None:
    stream = Terminal()
    os.environ["TERM"] = "xterm"  # restored after each test
    screen = LiveScreen(stream)
    show(screen, output)
    ours = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    ours.encode()
    assert not OBEYED.search(ours.replace("\r", ""))
    assert "\x1b]" not in stream.getvalue()


class Page(HTMLParser):
    """What a browser would be told to do."""

    ACTIVE: ClassVar = {"script", "img", "svg", "iframe", "object", "embed", "link", "form"}

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        handlers = [name for name, _ in attrs if name.startswith("on")]
        outside = [v for k, v in attrs if k in ("href", "src") and v and "//" in v]
        if (tag in self.ACTIVE and tag != "svg") or handlers or outside:
            self.active.append(self.get_starttag_text() or tag)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return tmp_path / "run"

    return make


@USUAL
@given(output=SAID)
@example(output=("\ud800",) * 4)
@example(output=("</pre><script>alert(1)</script>",) * 4)
@example(output=("\n::error::forged",) * 4)
def test_whatever_nodes_say_every_report_stays_what_it_is(
    folder: Callable[[], Path], output: tuple[str, ...]
) -> None:
    run = folder()
    log = EventLog()
    log.open(run)
    bus = Bus(log)
    for event in events(output):
        bus.emit(event)
    log.close()
    write_evidence(run / "evidence/x", output[0])
    assert write_reports(run, outcome(output)) == []
    lines = (run / EVENTS).read_text("utf-8").split("\n")
    assert [json.loads(line)["event"] for line in lines[:-1]][-1] == "run-ended"
    assert len(lines) == 12
    suites = ET.fromstring((run / JUNIT).read_bytes())  # our own file
    assert sum(int(suite.get("failures", 0)) for suite in suites) > 0
    assert json.loads((run / REPORT).read_bytes())["verdict"] == "payload failed"
    page = Page()
    page.feed((run / PAGE).read_text("utf-8"))
    assert page.active == []
    told_to_github(run)


def told_to_github(run: Path) -> None:
    """Commands are ours alone, and the summary is HTML that Markdown never begins again in."""
    report = read_report(run)
    found = findings(report, run)
    for line in github.annotate(report, found):
        assert re.fullmatch(r"::(error|warning) title=[^\r\n:,]*::[^\r\n]*", line), line
    text = github.summary(report, found)
    page = Page()
    page.feed(text)
    assert page.active == []
    inside = [line for line in text.splitlines() if line.startswith(("::", "[a]", "|a", "# "))]
    assert inside == []


@USUAL
@given(out=NODE_TEXT, err=NODE_TEXT)
def test_debug_shows_no_control_of_a_nodes(out: str, err: str) -> None:
    stream, before = io.StringIO(), sys.stdout
    sys.stdout = stream
    try:
        show_diagnostics([(DIAGNOSTICS[0], CommandResult(1, out, err))], as_json=False)
        as_text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        show_diagnostics([(DIAGNOSTICS[0], CommandResult(1, out, err))], as_json=True)
        (data,) = json.loads(stream.getvalue())
    finally:
        sys.stdout = before
    as_text.encode()
    assert not OBEYED.search(as_text)
    assert not OBEYED.search(data["stdout"] + data["stderr"])


class Rude(Check[CheckSettings]):
    """A check of a third party's that hands on what the node said."""

    kind = "rude"
    Settings = CheckSettings
    output = ""

    def title(self) -> str:
        return "rude"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node, connection
        return replace(self.failed(self.output), name=f"rude {self.output}", final=True)


@FEW
@given(output=NODE_TEXT)
@example(output="\ud800")
@example(output="x" * 100_000)
def test_what_a_check_hands_on_is_harmless_before_anybody_hears_it(output: str) -> None:
    from spotdeploy.phases import verify

    received: list[Any] = []
    bus = Bus(type("Ear", (), {"on": lambda _, event: received.append(event)})())
    check = Rude(CheckSettings(type="rude"), Path())
    check.output = output
    connection = type("Line", (), {"connected": True})()
    node = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
    node_run: Any = type("NodeRun", (), {"bus": bus, "node": node, "connection": connection})()
    (found,) = asyncio.run(verify._together(node_run, [check]))
    for text in (found.name, found.detail, received[0].check, received[0].detail):
        text.encode()
        assert not OBEYED.search(text)
        assert len(text) <= verify.DETAIL_LIMIT


def test_a_line_of_100_megabytes_is_bounded_in_no_time() -> None:
    line = "\x1b[31m" + "x\x00" * 50_000_000
    stream = io.StringIO()
    bus = Bus(PlainScreen(stream))
    bus.emit(Note(text=line))
    assert len(stream.getvalue()) < 700
    assert len(below(line, limit=600)) == 600
