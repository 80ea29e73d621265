"""What every doctor does with a check that raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from spotdeploy.errors import SpotdeployError, ThrottledError
from spotdeploy.model import Problem
from spotdeploy.provider import problem_of
from spotdeploy.text import nearest

NEAR: Final = 0.75
"""How like a known name one must be to be taken for a misspelt one."""


def did_you_mean(name: str, known: Iterable[str], remedy: str) -> str:
    """A remedy that begins with the known name which is most like an unknown one, if one is."""
    names = list(known)
    swapped = (one for one in names if sorted(one) == sorted(name))  # "us-esat-1"
    near = next(swapped, None) or nearest(name, names, NEAR)
    return f"did you mean {near}? {remedy}" if near else remedy


def problems_of(check: Callable[[], Iterable[Problem]]) -> list[Problem]:
    """What a check finds; one that raises has found a problem too. Raises ThrottledError, on
    which the core asks again."""
    try:
        return list(check())
    except ThrottledError:
        raise
    except SpotdeployError as error:
        return [problem_of(error)]
