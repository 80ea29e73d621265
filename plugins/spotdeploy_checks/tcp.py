"""`tcp`: something accepts connections on a port."""

from __future__ import annotations

import asyncio
from typing import Final

from spotdeploy.check import CheckResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.text import plain
from spotdeploy_checks.matching import expression
from spotdeploy_checks.ports import PortCheck, PortSettings, exchange

LIMIT: Final = 4096
"""Bytes of a banner that are read."""


class TcpSettings(PortSettings, frozen=True, kw_only=True):
    """The keys of a `tcp` check."""

    banner: str = ""
    """A regular expression that the first bytes sent must match; nothing is read without."""
    timeout: Duration = Duration("5s")
    """For the connection and the banner."""

    def __post_init__(self) -> None:
        """Refuse an expression that does not compile, too."""
        PortSettings.__post_init__(self)
        expression("banner", self.banner)


class TcpCheck(PortCheck[TcpSettings]):
    """Connect, and read what is said when a banner is wanted."""

    kind = "tcp"
    Settings = TcpSettings

    def title(self) -> str:
        return f"tcp {self.where()}"

    async def ask(self, connection: Connection, host: str | None) -> CheckResult:
        expected = self.settings
        received = bytearray()

        wanted = expression("banner", expected.banner)

        def take(data: bytes) -> bool:
            received.extend(data)
            return bool(wanted.search(_text(received)))

        limit = LIMIT if expected.banner else 0
        try:
            async with asyncio.timeout(expected.timeout):
                await exchange(connection, expected.port, host, b"", take, limit)
        except TimeoutError:
            output = f", but said {_output(received)!r}" if received else ""
            return self.failed(f"no answer within {expected.timeout}{output}")
        except OSError as error:
            return self.failed(plain(str(error), limit=300))
        if wanted.search(_text(received)):
            return self.passed(_output(received))
        return self.failed(
            f"it said {_output(received)!r}, which does not match {expected.banner!r}"
        )


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")


def _output(data: bytes | bytearray) -> str:
    return plain(_text(data), limit=200)
