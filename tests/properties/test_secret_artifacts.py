"""A secret that a node prints, in any spelling and wherever a limit cuts it, is in no artifact."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from spotdeploy.check import CommandResult
from spotdeploy.cli import errors
from spotdeploy.cli.debug import show_diagnostics
from spotdeploy.cli.screen import PlainScreen
from spotdeploy.errors import PayloadError
from spotdeploy.events import Bus, CheckAnswered
from spotdeploy.model import Node, NodeState
from spotdeploy.node.connection import NodeConnection
from spotdeploy.node.diagnostics import DIAGNOSTICS
from spotdeploy.phases import deploy, evidence
from spotdeploy.redact import Redactor
from spotdeploy.report import github
from spotdeploy.report.event_log import EventLog
from spotdeploy.report.html.findings import findings
from spotdeploy.report.run_store import read_report
from spotdeploy.report.writer import write_reports
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.trace import keep_trace
from spotdeploy.spelling import views
from spotdeploy.testing.connection import ScriptedConnection
from spotdeploy.text import hide
from spotdeploy_checks.command import CommandCheck, CommandSettings
from tests.fake_project import FakeProject
from tests.properties.effort import FEW
from tests.properties.test_hostile_output import events, outcome
from tests.spellings import SECRETS, SPELLINGS, of_code, pieces

NODE = Node("i-1", "demo-1", "fake", "here", NodeState.RUNNING)
LIMITS = (80, 100, 200, 300, 400, 500, 600, 1000, 1500, 2000, 3000, 4000, 6000, 20_000)
"""Of characters, at which something cuts."""


class Artifacts:
    """All that a run leaves and shows, of which every text from a node is the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screen = io.StringIO()

    def record(self, text: str, secret: str) -> None:
        redactor = Redactor([secret])
        hide("demo", redactor.excerpt)
        project = FakeProject(self.folder)
        log = EventLog()
        log.open(self.folder / "run")
        bus = Bus(log, PlainScreen(self.screen), redact=redactor.anything)
        run = replace(project.run, bus=bus)
        line = ScriptedConnection(otherwise=CommandResult(1, text, text))
        node_run = NodeRun(run, run.locations[0], NODE, cast("NodeConnection", line))
        try:
            for event in events((text,) * 4):
                bus.emit(event)
            self._work(node_run, line, text)
        finally:
            log.close()
            run.close()
        self._show(text)

    def _work(self, node_run: NodeRun, line: ScriptedConnection, text: str) -> None:
        check = CommandCheck(CommandSettings(type="command", command="x"))
        answer = asyncio.run(check.run(NODE, line))
        event = CheckAnswered(node="i-1", check="c", ok=False, settled=True, detail=answer.detail)
        node_run.bus.emit(event)
        ended = cast("NodeConnection", ScriptedConnection(otherwise=CommandResult(0, text, "")))
        why = asyncio.run(deploy._why(replace(node_run, connection=ended), {}))
        node_run.bus.emit(msgspec.structs.replace(event, check="d", detail=why))
        asyncio.run(evidence.collect(node_run, self.folder / "run" / "evidence"))
        keep_trace(node_run.run, ValueError(text), "asking")

    def _show(self, text: str) -> None:
        run = self.folder / "run"
        assert write_reports(run, outcome((text,) * 4)) == []
        report = read_report(run)
        found = findings(report, run)
        self.screen.write("\n".join(github.annotate(report, found)))
        self.screen.write(github.summary(report, found))
        with contextlib.redirect_stdout(self.screen), contextlib.redirect_stderr(self.screen):
            for as_json in (False, True):
                show_diagnostics([(DIAGNOSTICS[0], CommandResult(1, text, text))], as_json=as_json)
            errors.show(PayloadError(text, phase="deploy"))
            errors.show_trace(ValueError(text))

    def texts(self) -> dict[str, bytes]:
        """What is in each file, and what was shown."""
        files = {str(p): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        assert any(name.endswith("journal.db") for name in files)
        return {**files, "the screen": self.screen.getvalue().encode()}


@pytest.fixture
def artifacts(tmp_path: Path) -> Callable[[], Artifacts]:
    def make() -> Artifacts:
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        (tmp_path / "a").mkdir()
        return Artifacts(tmp_path / "a")

    return make


@settings(FEW, phases=[Phase.explicit, Phase.generate])
@given(
    name=st.sampled_from(sorted(SPELLINGS)),
    secret=SECRETS.filter(lambda secret: re.search("[A-Z].*[0-9]|[0-9].*[A-Z]", secret)),
    limit=st.sampled_from(LIMITS),
    before=st.integers(0, 120),
)
@example(name="as it is", secret="correct-horse-battery-stp", limit=300, before=24)
@example(name="as it is", secret="k1x9", limit=2000, before=2)
@example(name="in a URL", secret="a%b/c d+e&f=g?h", limit=300, before=9)
@example(name="basic auth", secret="correct-horse", limit=500, before=20)
def test_no_artifact_has_a_piece_of_it(
    artifacts: Callable[[], Artifacts], name: str, secret: str, limit: int, before: int
) -> None:
    spelled = SPELLINGS[name](secret)
    text = "." * max(0, limit - before) + " " + spelled + " " + "." * 40
    made = artifacts()
    made.record(text, secret)
    wanted = {piece.encode() for piece in pieces(secret)}
    code = "base64" in name or "hex" in name.lower() or name == "basic auth"
    codes = (
        {c.encode() for c in of_code(spelled) - of_code(SPELLINGS[name]("0" * 200))} if code else ()
    )
    if "JSON" in name or "journal" in name:
        codes = ()
    for where, data in made.texts().items():
        for view in views(data):
            assert not [p for p in wanted if p in view.data], where
        assert not [c for c in codes if c in data], where
