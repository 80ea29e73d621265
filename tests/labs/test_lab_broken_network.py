"""The network that breaks calls does so, and hands on the others unchanged."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from tests.labs.azure import AzureLab
from tests.labs.broken_network import BrokenNetwork

PATH = "/subscriptions/x?api-version=2022-12-01"


@contextmanager
def lab_behind(front: BrokenNetwork) -> Iterator[AzureLab]:
    lab = AzureLab()
    lab.front = front
    with lab:
        yield lab


def ask(lab: AzureLab) -> tuple[int, bytes] | None:
    """The status and body of a call without credentials; None for no whole answer."""
    with closing(http.client.HTTPConnection(urlsplit(lab.url).netloc)) as connection:
        try:
            connection.request("GET", PATH)
            found = connection.getresponse()
            return found.status, found.read()
        except (OSError, http.client.HTTPException):
            return None


def test_a_network_that_breaks_nothing_hands_on_every_call() -> None:
    with lab_behind(BrokenNetwork(1, 0.0)) as lab:
        found = ask(lab)
    assert found is not None
    assert found[0] == 401
    assert b"error" in found[1]


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_a_share_of_the_calls_is_broken_in_every_way(share: float) -> None:
    front = BrokenNetwork(7, share)
    with lab_behind(front) as lab:
        answers = [ask(lab) for _ in range(120)]
        assert 0.6 * share < len(front.broken) / len(answers) < 1.4 * share
        ways = Counter(front.broken)
        assert len(ways) == 8
        whole = sum(one is not None and one[0] == 401 for one in answers)
        assert whole == len(answers) - len(front.broken) + ways["delay"]
        front.heal()
        assert [one[0] for _ in range(5) if (one := ask(lab))] == [401] * 5


def test_a_seed_breaks_the_same_calls_again() -> None:
    drawn = []
    for _ in range(2):
        front = BrokenNetwork(3, 0.5)
        with lab_behind(front) as lab:
            for _ in range(30):
                ask(lab)
        drawn.append(front.broken)
    assert drawn[0] == drawn[1] != []
