"""`tcp`: something accepts connections on a port."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain

Side = Literal["node", "here"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class TcpSettings(CheckSettings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The keys of a `tcp` check."""

    port: Port
    from_: Side = "node"
    """Who connects: the node to itself, or this computer to the node's address."""
    banner: str = ""
    """A regular expression that the first line must match."""
    timeout: Duration = Duration("5s")

    def __post_init__(self) -> None:
        """Refuse an expression that does not compile."""
        compiled(self.banner)


class TcpCheck(Check[TcpSettings]):
    """Connect, and read a line when a banner is wanted."""

    kind = "tcp"
    Settings = TcpSettings

    def title(self) -> str:
        """As in the contract."""
        return f"tcp :{self.settings.port}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await self._ask(connection)
        except TimeoutError:
            return self.failed(f"no answer within {self.settings.timeout}")
        except ConnectionError as error:
            return self.failed(str(error))

    async def _ask(self, connection: Connection) -> CheckResult:
        reader, writer = await connect(connection, self.settings.port, self.settings.from_)
        try:
            if not self.settings.banner:
                return self.passed()
            line = plain((await reader.read(512)).decode(errors="replace"), limit=200)
            if compiled(self.settings.banner).search(line):
                return self.passed(line)
            return self.failed(f"it said {line!r}, not {self.settings.banner!r}")
        finally:
            writer.close()


async def connect(
    connection: Connection, port: int, side: Side
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams to a port, from the node itself or from here. Raises ConnectionError."""
    if side == "node":
        return await connection.open_tcp(port)
    return await connection.dial(port)


def compiled(expression: str) -> re.Pattern[str]:
    """A regular expression. Raises ValueError that names it when it is not one."""
    try:
        return re.compile(expression, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"{expression!r} is not a regular expression: {error}") from error
