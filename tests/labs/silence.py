"""An address to which no connection comes about, as where there is no route."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def nowhere() -> Iterator[str]:
    """Its URL. The listener's queue is full, so the kernel drops what else would connect."""
    with ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = open_ones.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
