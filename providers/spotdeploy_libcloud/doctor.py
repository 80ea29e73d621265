"""What every doctor does with a check that raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spotdeploy.errors import SpotdeployError, ThrottledError
from spotdeploy.model import Problem
from spotdeploy.provider import problem_of


def problems_of(check: Callable[[], Iterable[Problem]]) -> list[Problem]:
    """What a check finds; one that raises has found a problem too. Raises ThrottledError, on
    which the core asks again."""
    try:
        return list(check())
    except ThrottledError:
        raise
    except SpotdeployError as error:
        return [problem_of(error)]
