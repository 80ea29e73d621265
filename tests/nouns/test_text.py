"""Text from nodes made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.text import CUT, plain

HARMFUL = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"]
PIECES = ["\x1b", "\x9b", "[", "]", "0;", "31", "m", "\x07", "\\", "P", "\r", "\n", "\u202e", "a"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\rest", "rest"),
        ("\x1b(Bplain\x1bc", "plain"),
        ("a\rb\r\nc\x00\x07\x7f\x9b", "ab\nc"),
        ("admin\u202egnp.exe", "admingnp.exe"),
        ("  \n kept\tand\nkept \n", "kept\tand\nkept"),
        ("é ü 漢 \ufffd", "é ü 漢 \ufffd"),
    ],
)
def test_what_terminals_obey_is_taken_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert plain("x" * 5000) == "x" * (4000 - len(CUT)) + CUT
    assert plain("x" * 100, limit=100) == "x" * 100


@given(st.lists(st.sampled_from(PIECES) | st.characters()).map("".join), st.integers(20, 200))
def test_nothing_harmful_is_left_and_the_limit_is_kept(text: str, limit: int) -> None:
    shown = plain(text, limit=limit)
    assert len(shown) <= limit
    assert not set(shown) & {*HARMFUL, "\u202e"}
