"""What every doctor does with a check that raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spotdeploy.errors import SpotdeployError
from spotdeploy.model import Problem


def problems_of(check: Callable[[], Iterable[Problem]]) -> list[Problem]:
    """What a check finds; one that raises has found a problem too."""
    try:
        return list(check())
    except SpotdeployError as error:
        return [Problem(error.message, error.hint or "see the message")]
