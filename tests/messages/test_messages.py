"""Error messages are as they were approved: see `catalogue`."""

from __future__ import annotations

from tests.messages.cases import CASES
from tests.messages.catalogue import APPROVED, render


def test_every_message_has_the_approved_words() -> None:
    now = render(CASES)
    approved = APPROVED.read_text("utf-8")
    assert now == approved, "read what changed, then: python -m tests.messages.catalogue"


def test_no_two_cases_are_the_same_mistake() -> None:
    names = [case.what for case in CASES]
    assert len(names) == len(set(names))


def test_every_refusal_says_what_to_do_or_how_it_should_be() -> None:
    blocks = APPROVED.read_text("utf-8").partition("# Made by no case here")[0].split("## ")[1:]
    rules = ("\ntry: ", "should be", "should have", "write it like", "at most", "does not exist")
    told = [any(rule in block for rule in (*rules, "Error: ")) for block in blocks]
    assert [block for block, good in zip(blocks, told, strict=True) if not good] == []
