"""What every doctor does with a check that raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spotdeploy.errors import SpotdeployError, ThrottledError
from spotdeploy.model import Problem


def problems_of(check: Callable[[], Iterable[Problem]]) -> list[Problem]:
    """What a check finds; one that raises has found a problem too.

    Raises ThrottledError when the cloud asks to slow down: the core then examines again.
    """
    try:
        return list(check())
    except ThrottledError:
        raise
    except SpotdeployError as error:
        return [Problem(error.message, error.hint or "see the message")]
