"""Listening to a run, and writing its reports whatever happens."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec
import pytest

from docs.generate.events import events_markdown
from spotdeploy.cli.run import new_screen, reporting
from spotdeploy.config.json_schema import events_schema
from spotdeploy.errors import CapacityError, HostError
from spotdeploy.events import AnyEvent, Bus, Note, RunEnded
from spotdeploy.model import Verdict
from spotdeploy.redact import Redactor
from spotdeploy.report.event_log import (
    EVENTS,
    JUNIT,
    PAGE,
    REPORT,
    EventLog,
    EventStream,
    event_stream,
)
from spotdeploy.report.run_store import RUNS, read_report
from spotdeploy.report.writer import RunRecorder, write_reports
from tests.report import samples

ALL = {EVENTS, REPORT, JUNIT, PAGE}
Out = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Recording:
    """A run without nodes, recorded as the command line does."""

    recorder: RunRecorder
    bus: Bus

    def begin(self, state: Path, run: str) -> None:
        self.recorder.begin(state / RUNS / run)


@contextmanager
def recording(
    stream: TextIO, redactor: Redactor, environment: Mapping[str, str]
) -> Iterator[Recording]:
    recorder, screen = RunRecorder(), new_screen(stream)
    with reporting(stream, recorder, environment, None), recorder:
        yield Recording(recorder, Bus(recorder.log, screen, redact=redactor.anything))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_that_ends_has_all_its_reports_and_says_where(tmp_path: Path) -> None:
    stream = io.StringIO()
    with recording(stream, Redactor(), environment={}) as record:
        record.bus.emit(Note(text="early"))
        record.begin(tmp_path, "r")
        record.bus.emit(RunEnded(run="r", verdict=Verdict.PASSED, exit_code=0))
    folder = tmp_path / RUNS / "r"
    assert names(folder) == ALL
    assert stream.getvalue().endswith(f"report: {folder / PAGE}\n")
    assert [mark.text for mark in read_report(folder).marks] == ["early"]


def broken_run(state: Path, error: Exception) -> None:
    with recording(io.StringIO(), Redactor(), environment={}) as record:
        record.begin(state, "r")
        record.bus.emit(Note(text="so far"))
        raise error


@pytest.mark.parametrize("error", [CapacityError("no capacity"), ZeroDivisionError()])
def test_a_refusal_or_a_bug_leaves_reports_and_goes_on(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        broken_run(tmp_path, error)
    report = read_report(tmp_path / RUNS / "r")
    assert (report.verdict, [mark.text for mark in report.marks]) == ("unfinished", ["so far"])
    assert names(tmp_path / RUNS / "r") == ALL


def test_what_never_began_leaves_nothing(tmp_path: Path) -> None:
    with recording(io.StringIO(), Redactor(), environment={}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_secrets_reach_neither_log_nor_screen_nor_report(tmp_path: Path) -> None:
    stream = io.StringIO()
    with recording(stream, Redactor(["hunter2000"]), environment={}) as record:
        record.begin(tmp_path, "r")
        record.bus.emit(Note(text="it said hunter2000", warning=True))
        record.bus.emit(
            RunEnded(run="r", verdict=Verdict.REFUSED, exit_code=3, detail="hunter2000")
        )
    texts = [path.read_text() for path in (tmp_path / RUNS / "r").iterdir()]
    assert "[redacted]" in stream.getvalue()
    assert not [text for text in (*texts, stream.getvalue()) if "hunter2000" in text]


def test_a_report_that_cannot_be_written_is_a_warning(tmp_path: Path, capsys: Out) -> None:
    with recording(io.StringIO(), Redactor(), environment={}) as record:
        record.begin(tmp_path, "r")
        (tmp_path / RUNS / "r" / PAGE).mkdir()
        record.bus.emit(RunEnded(run="r", verdict=Verdict.PASSED, exit_code=0))
    assert "warning: report.html was not written" in capsys.readouterr().err
    assert (tmp_path / RUNS / "r" / JUNIT).exists()


def test_a_summary_that_github_does_not_take_is_a_warning(tmp_path: Path, capsys: Out) -> None:
    environment = {"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "such" / "file")}
    with recording(io.StringIO(), Redactor(), environment=environment) as record:
        record.begin(tmp_path, "r")
        record.bus.emit(RunEnded(run="r", verdict=Verdict.PASSED, exit_code=0))
    assert "no summary for GitHub" in capsys.readouterr().err


def test_reports_of_no_events_are_one_problem() -> None:
    (problem,) = write_reports(Path("/nowhere/at/all"))
    assert problem.startswith("no reports: ")


def test_a_run_that_was_killed_before_its_first_event_gets_no_reports(tmp_path: Path) -> None:
    (tmp_path / EVENTS).touch()
    assert write_reports(tmp_path) == [f"no reports: {tmp_path / EVENTS} has no events"]
    assert names(tmp_path) == {EVENTS}


def test_no_half_written_file_is_left(tmp_path: Path) -> None:
    folder = samples.payload_failure().write(tmp_path)
    assert write_reports(folder) == []
    assert names(folder) == ALL | {"evidence"}


def test_a_full_disk_ends_the_log_and_not_the_run(tmp_path: Path) -> None:
    log = EventLog()
    log.open(tmp_path)
    log.on(Note(text="one"))
    assert log._file is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._file.fileno())
    os.close(full)
    log.on(Note(text="two"))
    log.on(Note(text="three"))
    assert "no longer written" in log.trouble
    log.close()
    log.close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write to"):
        EventLog().open(tmp_path / "file" / "run")


def test_events_go_to_a_file_or_to_standard_output(tmp_path: Path) -> None:
    target = tmp_path / "events.jsonl"
    stream = event_stream(str(target))
    stream.on(Note(at=1.0, text="hello"))
    stream.close()
    stream.close()
    assert json.loads(target.read_text()) == {"event": "note", "at": 1.0, "text": "hello"}
    with pytest.raises(HostError, match="--events: cannot write"):
        event_stream(str(tmp_path / "no" / "folder"))


def test_a_reader_that_went_away_silences_the_stream_only() -> None:
    here, there = os.pipe()
    os.close(here)
    stream = EventStream(os.fdopen(there, "wb", buffering=0))
    stream.on(Note(text="one"))
    stream.on(Note(text="two"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(there)


def test_the_page_on_events_is_the_one_the_types_make(repository: Path) -> None:
    assert (repository / "docs/events.md").read_text() == events_markdown()


def test_every_written_line_keeps_the_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(events_schema())
    folder = samples.interruption(3).write(tmp_path)
    lines = (folder / EVENTS).read_bytes().splitlines()
    assert lines
    for line in lines:
        validator.validate(json.loads(line))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"event": "note", "text": 7})


def test_the_events_of_a_thousand_nodes_cost_little(tmp_path: Path) -> None:
    sample = samples.passing(1000)
    log = EventLog()
    log.open(tmp_path)
    began = time.process_time()
    for event in sample.events:
        log.on(event)
    spent = time.process_time() - began
    log.close()
    assert len(sample.events) > 17_000
    assert spent < 1.0
    decoder = msgspec.json.Decoder(AnyEvent)
    written = (tmp_path / EVENTS).read_bytes().splitlines()
    assert [decoder.decode(line) for line in written] == sample.events


def test_the_reports_of_300_nodes_are_written_within_a_second(tmp_path: Path) -> None:
    folder = samples.payload_failure(100, ("aws", "gcp", "azure")).write(tmp_path)
    write_reports(samples.passing(1).write(tmp_path))  # what is imported at first use
    began = time.process_time()
    assert write_reports(folder) == []
    assert time.process_time() - began < 1.0
