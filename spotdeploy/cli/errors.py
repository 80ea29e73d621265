"""The one place where our own errors are shown."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext

from spotdeploy.errors import SpotdeployError
from spotdeploy.text import plain, redacted

_VERBOSE = "SPOTDEPLOY_VERBOSE"


def set_verbose(on: bool) -> None:
    """Remember, for this process and the ones it starts, that traces are to be shown."""
    if on:
        os.environ[_VERBOSE] = "1"


def show(error: SpotdeployError) -> None:
    """Print the error and what to do next, on standard error."""
    with _quoting():
        if os.environ.get(_VERBOSE):
            show_trace(error)
        print(f"error: {plain(error.message)}", file=sys.stderr)  # noqa: T201  # this is the screen
        if error.hint:
            print(f"try: {plain(error.hint)}", file=sys.stderr)  # noqa: T201  # this is the screen


def _quoting() -> AbstractContextManager[None]:
    """On GitHub, no text from nodes acts as a workflow command. Elsewhere nothing is imported."""
    if "GITHUB_ACTIONS" not in os.environ:
        return nullcontext()
    from spotdeploy.report.github import quoting

    return quoting(sys.stderr, os.environ)


def show_trace(error: BaseException) -> None:
    """Print the trace, on standard error and without the secrets in use."""
    sys.stderr.write(redacted("".join(traceback.format_exception(error))))
