"""Error messages are as they were approved: see `catalogue`."""

from __future__ import annotations

from tests.messages.cases import CASES
from tests.messages.catalogue import APPROVED, NONE_MADE, render


def test_every_message_has_the_approved_words() -> None:
    now = render(CASES)
    approved = APPROVED.read_text("utf-8")
    assert now == approved, "read what changed, then: python -m tests.messages.catalogue"


def test_a_case_makes_every_message_of_the_core() -> None:
    without_case = APPROVED.read_text("utf-8").partition(NONE_MADE)[2].split("\n")
    assert [line for line in without_case if line] == [], "add a case, or delete what none can make"


def test_no_two_cases_are_the_same_mistake() -> None:
    names = [case.what for case in CASES]
    assert len(names) == len(set(names))


def test_every_refusal_says_what_to_do_or_how_it_should_be() -> None:
    blocks = APPROVED.read_text("utf-8").partition(NONE_MADE)[0].split("## ")[1:]
    rules = (
        *("\ntry: ", "should be", "should have", "write it like", "at most", "does not exist"),
        "Error: ",  # of the command line's parser, with how to get help
        " (free disk space ",  # of a cell, in one line
    )
    told = [any(rule in block for rule in rules) for block in blocks]
    assert [block for block, good in zip(blocks, told, strict=True) if not good] == []


def test_no_mistake_is_shown_as_a_bug() -> None:
    text = APPROVED.read_text("utf-8")
    assert "Traceback" not in text
    assert "(exit code 70)" not in text
    assert "(exit code 0)" not in text
