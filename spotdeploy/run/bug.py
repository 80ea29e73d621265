"""Exceptions that are nobody's refusal, as of a plugin's bug: they end what they hit, no more."""

from __future__ import annotations

import traceback
from typing import Final

from spotdeploy.run.context import Run
from spotdeploy.text import plain

TRACEBACKS: Final = "tracebacks.txt"


def record_bug(run: Run, error: Exception, doing: str) -> str:
    """Append the traceback to a file in the run's folder; give what to tell, in one line.

    `doing` says what was under way, such as "listing fake here".
    """
    text = "".join(traceback.format_exception(error))
    run.folder.mkdir(parents=True, exist_ok=True)
    file = run.folder / TRACEBACKS
    with file.open("a", encoding="utf-8") as out:
        out.write(run.redactor.text(f"{doing}:\n{text}\n"))
    return f"{doing}: {type(error).__name__}: {plain(str(error), limit=500)} (see {file})"
