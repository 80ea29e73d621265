"""The one place where our own errors are shown."""

from __future__ import annotations

import os
import sys
import traceback

from spotdeploy.errors import SpotdeployError
from spotdeploy.text import plain

_VERBOSE = "SPOTDEPLOY_VERBOSE"


def set_verbose(on: bool) -> None:
    """Remember, for this process and the ones it starts, that traces are to be shown."""
    if on:
        os.environ[_VERBOSE] = "1"


def show(error: SpotdeployError) -> None:
    """Print the error and what to do next, on standard error."""
    if os.environ.get(_VERBOSE):
        traceback.print_exception(error)
    print(f"error: {plain(error.message)}", file=sys.stderr)  # noqa: T201  # this is the screen
    if error.hint:
        print(f"try: {plain(error.hint)}", file=sys.stderr)  # noqa: T201  # this is the screen
