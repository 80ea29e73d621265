"""Durations."""

from __future__ import annotations

import pytest

from spotdeploy.duration import Duration, spell


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20), ("2m", 120), ("1h30m", 5400), ("1.5s", 1.5), ("100ms", 0.1), ("2d", 172800)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert Duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 minutes", "m", "-5s", "5x", "1m nonsense", "31d"])
def test_nonsense_is_refused_with_the_text_itself(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer") as caught:
        Duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.4, "0.4s"), (59, "59s"), (75, "1m15s"), (7260, "2h1m"), (90000, "1d1h")],
)
def test_seconds_are_spelled_short(seconds: float, text: str) -> None:
    assert spell(seconds) == text


@pytest.mark.parametrize("text", ["20s", "2m", "1h30m", "1d2h"])
def test_spelling_a_duration_gives_the_same_duration(text: str) -> None:
    assert Duration(str(Duration(text))) == Duration(text)
