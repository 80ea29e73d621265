"""`tcp`: something accepts connections on a port."""

from __future__ import annotations

import asyncio
from typing import Final

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.matching import expression
from spotdeploy_checks.ports import Port, Side, exchange, place

LIMIT: Final = 4096
"""Bytes of a banner that are read."""


class TcpSettings(CheckSettings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The keys of a `tcp` check."""

    port: Port
    """The TCP port that must accept connections."""
    from_: Side = "node"
    """Who connects: the node itself through ssh, or `here`, this computer."""
    banner: str = ""
    """A regular expression that the first bytes sent must match; nothing is read without."""
    timeout: Duration = Duration("5s")
    """For the connection and the banner."""

    def __post_init__(self) -> None:
        """Refuse an expression that does not compile."""
        expression("banner", self.banner)


class TcpCheck(Check[TcpSettings]):
    """Connect, and read what is said when a banner is wanted."""

    kind = "tcp"
    Settings = TcpSettings

    def title(self) -> str:
        """As in the contract."""
        return f"tcp {place(self.settings.port, self.settings.from_)}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        wanted = self.settings
        heard = bytearray()

        def enough(data: bytes) -> bool:
            heard[:] = data
            return bool(expression("banner", wanted.banner).search(_text(data)))

        try:
            async with asyncio.timeout(wanted.timeout):
                await exchange(connection, wanted.port, wanted.from_, b"", enough, LIMIT)
        except TimeoutError:
            said = f", but said {_said(heard)!r}" if heard else ""
            return self.failed(f"no answer within {wanted.timeout}{said}")
        except OSError as error:
            return self.failed(plain(str(error), limit=300))
        if enough(bytes(heard)):
            return self.passed(_said(heard))
        return self.failed(f"it said {_said(heard)!r}, which does not match {wanted.banner!r}")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _said(data: bytes | bytearray) -> str:
    return plain(_text(bytes(data)), limit=200)
