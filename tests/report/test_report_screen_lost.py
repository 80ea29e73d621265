"""A screen that cannot be written any longer."""

from __future__ import annotations

import errno
from io import StringIO

import pytest

from spotdeploy.cli.screen import PlainScreen


class Lost(StringIO):
    """A stream that the operating system refuses."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.tried = 0

    def write(self, text: str) -> int:
        self.tried += 1
        raise OSError(self.number, "no more")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
def test_a_screen_that_cannot_be_written_falls_silent_and_stops_nothing(number: int) -> None:
    stream = Lost(number)
    screen = PlainScreen(stream)
    screen.say("one")
    screen.say("two")
    assert stream.tried == 1
