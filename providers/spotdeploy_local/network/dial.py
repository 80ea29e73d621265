"""Reaching a machine from the host: a socket made inside its network's namespace.

Run as a program, it is an OpenSSH ProxyCommand: `python -P -m spotdeploy_local.network.dial FILE
ADDRESS PORT` bridges standard input and output to a port inside the namespace on FILE; `-` in the
place of FILE is the host's own.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from spotdeploy_local.network.networks import socket_in

CONNECT_SECONDS = 10.0
HERE = "-"


def dial(switch: Path | None, address: str, port: int, timeout: float) -> socket.socket:
    """A connected, blocking socket. Raises OSError as connect does; `timeout` is in seconds."""
    connection = socket_in(switch) if switch else socket.socket()
    try:
        connection.settimeout(timeout)
        connection.connect((address, port))
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def proxy_command(switch: Path | None, address: str, port: int) -> list[str]:
    """The command that runs this module as a program, and imports nothing from the folder that it
    is run in: https://docs.python.org/3/using/cmdline.html#cmdoption-P"""
    program = (sys.executable, "-P", "-m", "spotdeploy_local.network.dial")
    return [*program, str(switch or HERE), address, str(port)]


def main(arguments: Sequence[str]) -> int:
    """Bridge until the machine closes. Gives the exit code."""
    switch, address, port = arguments
    try:
        connection = dial(
            None if switch == HERE else Path(switch), address, int(port), CONNECT_SECONDS
        )
    except OSError as error:
        sys.stderr.write(f"cannot reach {address} port {port}: {error}\n")
        return 1
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    with contextlib.suppress(ConnectionError, BrokenPipeError):
        while data := connection.recv(65536):
            _write_all(1, data)
    return 0


def _send(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, 65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
