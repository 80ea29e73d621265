"""`http`: a request gets the right answer."""

from __future__ import annotations

import asyncio
import http.client
import json
from io import BytesIO
from typing import Annotated, Any

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain
from spotdeploy_checks.tcp import Port, Side, connect

LIMIT = 1 << 20
Path = Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*$")]


class HttpSettings(CheckSettings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The keys of an `http` check."""

    port: Port
    path: Path = "/"
    from_: Side = "node"
    """Who asks: the node itself, or this computer."""
    host: str = "localhost"
    """The Host header."""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    contains: str = ""
    """Text that the body must have."""
    json: dict[str, Any] = msgspec.field(default_factory=dict)
    """Dotted paths in a JSON body and the values they must have."""
    timeout: Duration = Duration("10s")


class HttpCheck(Check[HttpSettings]):
    """GET, and compare status and body."""

    kind = "http"
    Settings = HttpSettings

    def title(self) -> str:
        """As in the contract."""
        return f"http :{self.settings.port}{self.settings.path}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        settings = self.settings
        try:
            async with asyncio.timeout(settings.timeout):
                raw = await self._get(connection)
        except TimeoutError:
            return self.failed(f"no answer within {settings.timeout}")
        except ConnectionError as error:
            return self.failed(str(error))
        try:
            status, body = parse(raw)
        except http.client.HTTPException as error:
            return self.failed(
                f"that is no HTTP answer: {type(error).__name__}: {plain(str(error))}"
            )
        return self._judge(status, body)

    async def _get(self, connection: Connection) -> bytes:
        reader, writer = await connect(connection, self.settings.port, self.settings.from_)
        try:
            writer.write(request(self.settings.path, self.settings.host))
            await writer.drain()
            answer = bytearray()
            while len(answer) < LIMIT and (data := await reader.read(65536)):
                answer += data
            return bytes(answer)
        finally:
            writer.close()

    def _judge(self, status: int, body: str) -> CheckResult:
        wanted = self.settings
        if status != wanted.status:
            return self.failed(f"status {status}, not {wanted.status}: {plain(body, limit=300)}")
        if wanted.contains not in body:
            return self.failed(f"the body lacks {wanted.contains!r}: {plain(body, limit=300)}")
        wrong = differences(body, wanted.json) if wanted.json else ""
        return self.failed(wrong) if wrong else self.passed(f"status {status}")


def request(path: str, host: str) -> bytes:
    """The bytes of a GET."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: spotdeploy\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode()


def parse(raw: bytes) -> tuple[int, str]:
    """Status and body of an answer. Raises HTTPException when it is none, or is cut short."""
    answer = http.client.HTTPResponse(_Socket(raw), method="GET")  # type: ignore[arg-type]  # makefile is all it uses
    answer.begin()
    try:
        body = answer.read(LIMIT)
    except ValueError as error:
        raise http.client.HTTPException(str(error)) from error
    return answer.status, body.decode(errors="replace")


def differences(body: str, wanted: dict[str, Any]) -> str:
    """What in a JSON body is not as wanted; empty when all is."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return f"the body is no JSON: {plain(body, limit=200)}"
    for path, value in wanted.items():
        found = data
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if found != value:
            return f"{path} is {plain(repr(found), limit=200)}, not {value!r}"
    return ""


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> BytesIO:
        del mode
        return BytesIO(self._data)
