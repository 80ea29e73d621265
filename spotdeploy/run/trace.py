"""The trace of an exception that is none of ours, kept in the run's folder."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from spotdeploy.errors import ProviderError, Reach, SpotdeployError
from spotdeploy.run.context import Run
from spotdeploy.state.folder import private, private_folder
from spotdeploy.text import plain, redacted

TRACES: Final = "traces.txt"
T = TypeVar("T")


async def contained(run: Run, answer: Awaitable[T], doing: str) -> T:
    """What a call of a provider answers.

    Raises what it raises of ours, and ProviderError where the provider, or a library below it, has
    a bug: its trace is then kept, and it reaches everything of the provider.
    """
    try:
        return await answer
    except SpotdeployError:
        raise
    except Exception as error:
        message = f"{doing}: {keep_trace(run, error, doing)}"
        raise ProviderError(message, reach=Reach.PROVIDER) from error


@contextmanager
def loop_traced(run: Run) -> Iterator[None]:
    """In this block the traces of callbacks that nobody awaits go where the others are, and not to
    the screen: a connection that is lost while it is given up raises in asyncio's own."""

    def keep(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        message = str(context["message"])
        keep_trace(run, context.get("exception") or RuntimeError(message), message)

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(keep)
    try:
        yield
    finally:
        if loop.get_exception_handler() is keep:  # else a run beside this one began later
            loop.set_exception_handler(before)


def keep_trace(run: Run, error: BaseException, doing: str) -> str:
    """Append the error's trace to the run's `TRACES`, once and without the secrets in use.

    Gives one line for people: what failed at `doing`, and which file says more. Raises nothing:
    where the file cannot be written, the line says why.
    """
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    path = run.folder / TRACES
    trace = "".join(traceback.format_exception(error))
    text = redacted(f"{doing}:\n{trace}\n")
    try:
        private_folder(path.parent)
        with open(path, "a+", encoding="utf-8", errors="replace", opener=private) as file:
            file.seek(0)
            if text not in file.read():
                file.write(text)
    except OSError as trouble:
        return plain(f"{what}; its trace could not be kept: {trouble.strerror}", limit=2000)
    return plain(f"{what}; its trace is in {path}", limit=2000)
