"""The live table, drawn on a terminal that is a file."""

from __future__ import annotations

import io

import pytest

from spotdeploy.cli.live import LiveScreen
from spotdeploy.events import NodeCreated, Note


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
