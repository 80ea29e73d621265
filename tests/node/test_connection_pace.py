"""How often a node that does not answer yet is tried."""

from __future__ import annotations

import pytest

from spotdeploy.node.connection import pause_after


@pytest.mark.parametrize("ready_at", [0.85, 1.2, 5.0, 12.0])
def test_a_node_is_found_soon_after_it_answers_and_in_few_tries(ready_at: float) -> None:
    now, tries = 0.0, 1
    while now < ready_at:
        now += pause_after(now)
        tries += 1
    assert now - ready_at <= max(0.1, ready_at / 8)
    assert tries <= 36


def test_a_node_that_is_long_in_coming_is_tried_every_two_seconds() -> None:
    assert pause_after(16.0) == pause_after(240.0) == 2.0
