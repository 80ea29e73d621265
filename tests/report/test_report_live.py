"""The live table, drawn on a terminal that is a file."""

from __future__ import annotations

import io

import pytest

from spotdeploy.cli.live import LiveScreen
from spotdeploy.events import (
    CheckAnswered,
    Event,
    NodeCreated,
    Note,
    PhaseProgress,
    PhaseStarted,
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return _Terminal()


def test_every_line_is_shown_once_and_in_order(terminal: _Terminal) -> None:
    screen = LiveScreen(terminal)
    with screen:
        for number in range(500):
            screen.say(f"line-{number}.")
    output = terminal.getvalue()
    places = [output.index(f"line-{number}.") for number in range(500)]
    assert places == sorted(places)
    assert output.count("line-77.") == 1


def test_many_lines_do_not_draw_the_table_as_many_times(terminal: _Terminal) -> None:
    screen = LiveScreen(terminal)
    with screen:
        screen.on(
            NodeCreated(
                node="i-1",
                name="the-node",
                provider="fake",
                location="here",
                zone=None,
                size="small",
                market="spot",
                usd_per_hour=None,
            )
        )
        for number in range(300):
            screen.on(Note(text=f"note {number}"))
    assert terminal.getvalue().count("the-node") < 100


def test_a_line_after_the_end_is_still_shown(terminal: _Terminal) -> None:
    screen = LiveScreen(terminal)
    with screen:
        screen.say("during")
    screen.say("after")
    assert terminal.getvalue().rstrip().endswith("after")


def made(name: str = "the-node") -> NodeCreated:
    return NodeCreated(
        node="i-1",
        name=name,
        provider="fake",
        location="here",
        zone=None,
        size="small",
        market="spot",
    )


def answered(check: str, detail: str = "", *, settled: bool = False) -> CheckAnswered:
    return CheckAnswered(node="i-1", check=check, ok=not detail, settled=settled, detail=detail)


def last_cell(terminal: _Terminal, *events: Event) -> str:
    """What the node's row says behind its counts."""
    screen = LiveScreen(terminal)
    for event in (made(), *events):
        screen.update(event)
    (*_, cells) = screen.table().columns
    (text,) = cells.cells
    return str(text)


def test_while_it_deploys_a_row_has_the_last_line_of_the_entrys_log(terminal: _Terminal) -> None:
    started = PhaseStarted(node="i-1", phase="deploy")
    lines = [PhaseProgress(node="i-1", text=text) for text in ("Unpacking", "Setting up nginx")]
    assert last_cell(terminal, started, *lines) == "Setting up nginx"
    assert last_cell(terminal, started, *lines, PhaseStarted(node="i-1", phase="reboot")) == ""


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([answered("http :80", "refused"), answered("log", settled=True)], "http :80: refused"),
        ([answered("http :80", "refused"), answered("log")], "http :80: refused"),
        ([answered("a", "no"), answered("b", "not yet")], "a: no (and 1 more)"),
        ([answered("a", "no\nreally"), answered("b", "not yet")], "a: no (and 1 more)"),
        ([answered("a", "no"), answered("a"), answered("b", "not yet")], "b: not yet"),
        ([answered("a"), answered("b", settled=True)], "a: ok, must hold"),
        ([answered("a", "no"), answered("a", settled=True)], ""),
        ([answered("a", "no", settled=True), answered("b", settled=True)], "a: no"),
    ],
)
def test_while_it_is_verified_a_row_has_the_check_that_is_waited_for(
    terminal: _Terminal, answers: list[CheckAnswered], text: str
) -> None:
    assert last_cell(terminal, PhaseStarted(node="i-1", phase="verify"), *answers) == text
