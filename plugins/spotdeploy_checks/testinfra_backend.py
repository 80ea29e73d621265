"""Loaded by pytest in a process of its own: testinfra's commands go to the relay.

It imports no more than that needs, because every question starts such a process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from socket import AF_UNIX, SHUT_WR, socket
from typing import Any

from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend, CommandResult

from spotdeploy_checks.testinfra_names import RELAY, SCHEME


class RelayBackend(BaseBackend):
    """One node, over the connection that spotdeploy already has to it."""

    NAME = SCHEME

    def __repr__(self) -> str:
        """Short, because it is part of what failed assertions say."""
        return self.hostname

    def get_pytest_id(self) -> str:
        """What stands in brackets behind a test's name."""
        return self.hostname

    def get_encoding(self) -> str:
        """The relay decodes what nodes say, so that nobody has to ask them."""
        return "utf-8"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """As testinfra has it. Raises ConnectionError when there is no true answer."""
        del kwargs
        line = self.get_command(command, *args)
        answer = _ask(line)
        if answer["trouble"]:
            raise ConnectionError(f"{line[:100]}: {answer['trouble']}")
        out, err = answer["stdout"].encode(), answer["stderr"].encode()
        return self.result(answer["exit_code"], line.encode(), out, err)


BACKENDS[SCHEME] = f"{__name__}.{RelayBackend.__name__}"


def _ask(command: str) -> dict[str, Any]:
    with socket(AF_UNIX) as relay:
        relay.connect(os.environ[RELAY])
        relay.sendall(json.dumps({"command": command}).encode())
        relay.shutdown(SHUT_WR)
        output = b"".join(_read(relay))
    if not output:
        raise ConnectionError("spotdeploy stopped listening")
    answer: dict[str, Any] = json.loads(output)
    return answer


def _read(relay: socket) -> Iterator[bytes]:
    while data := relay.recv(65536):
        yield data
