"""Connections to nodes: strict host keys, bounded output, one connection reused by all phases."""

from __future__ import annotations

import asyncio
import shlex
import socket as sockets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncssh
from asyncssh.stream import SSHTCPStreamSession

from spotdeploy.check import CommandResult, Connection
from spotdeploy.errors import ShutOutError, UnreachableError
from spotdeploy.model import Manifest, Node
from spotdeploy.node import paths
from spotdeploy.node.exec import LOST, SUDO, TOOLS, execute, limited, started
from spotdeploy.node.shells import Shell, ShellEndedError, Shells, is_far
from spotdeploy.provider import Provider, SupportsDial
from spotdeploy.text import plain

PORT: Final = 22
ATTEMPT: Final = 15.0
"""Seconds that one attempt to connect may take."""
CHANNELS: Final = 16
HANDSHAKES: Final = 64
"""How many handshakes of one run are under way at once. Each costs some milliseconds of CPU:
with a thousand at once, all of them would wait for all, and checks would time out here."""
_CUT: Final = (asyncssh.Error, OSError, asyncio.IncompleteReadError)
_SHELL: Final = f'set -- $SSH_CONNECTION; exec {{root}}{TOOLS} sh -s -- "$1" "$2"'
REGISTER: Final = f'printf "%s %s%s\\n" "$1" "$2" "{{broken}}" >> {paths.SESSIONS}'
_SHUT_OUT: Final = (
    asyncssh.HostKeyNotVerifiable,
    asyncssh.PermissionDenied,
    asyncssh.KeyExchangeFailed,
)


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens TCP connections to nodes of one provider object."""

    provider: Provider[Any]

    async def open(self, node: Node, port: int, timeout: float) -> sockets.socket:
        """A connected, non-blocking socket. Raises OSError."""
        if isinstance(self.provider, SupportsDial):
            sock = await asyncio.to_thread(self.provider.dial, node, port, timeout)
        else:
            sock = await self._plain(node, port, timeout)
        sock.setblocking(False)
        return sock

    async def _plain(self, node: Node, port: int, timeout: float) -> sockets.socket:
        if node.address is None:
            raise ConnectionRefusedError(f"{node.name} has no address yet")
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(node.address, port, type=sockets.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            sock = sockets.socket(family, kind, protocol)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, address)
            except BaseException:
                sock.close()
                raise
            return sock


class NodeConnection(Connection):
    """The connection to one node. It reconnects when asked, never by itself."""

    def __init__(
        self,
        node: Node,
        dialer: Dialer,
        user: str,
        key: asyncssh.SSHKey,
        host_key: str,
        manifest: Manifest,
        turns: asyncio.Semaphore | None = None,
        peers: Callable[[str], Sequence[Node]] = lambda _: (),
    ) -> None:
        """`turns`, shared by the nodes of a run, bounds the handshakes under way at once; `peers`
        knows the nodes of a group."""
        self.node = node
        self.manifest = manifest
        self.host_key = host_key
        """The only host key that is accepted, as OpenSSH public key text."""
        self._dialer = dialer
        self._user = user
        self._key = key
        self._ssh: asyncssh.SSHClientConnection | None = None
        self._shells: Shells | None = None
        self._channels = asyncio.Semaphore(CHANNELS)
        self._turns = turns or asyncio.Semaphore(1)
        self._peers = peers
        self._broken = 0
        """Attempts that may have logged in and were broken off before they were on record."""

    @property
    def connected(self) -> bool:
        """True while the connection stands."""
        return self._ssh is not None and not self._ssh.is_closed()

    @property
    def off_record(self) -> bool:
        """Whether the node may know of a login of ours that it has not on record as such: the next
        one that it lets in puts that right."""
        return self._broken > 0

    async def connect(self, timeout: float = ATTEMPT) -> None:
        """Connect once and register the session on the node. `timeout` is in seconds, without
        the time until it is this node's turn.

        Raises:
            ShutOutError: wrong host key, or user, key or commands not accepted (yet).
            UnreachableError: refused, cut or timed out.
        """
        await self.close()
        try:
            trusted = asyncssh.import_public_key(self.host_key)
        except asyncssh.KeyImportError as error:
            raise self._unreachable(f"the host key on record is none: {error}") from error
        client = _Client()
        ssh = None
        try:
            sock = await self._dialer.open(self.node, PORT, timeout)
            async with self._turn(sock), asyncio.timeout(timeout):
                ssh = await self._handshake(sock, trusted, client)
                shells = await self._registered(ssh, is_far(sock))
        except TimeoutError as error:
            if ssh is not None:
                message = f"it lets us in, and gives no shell within {timeout:.0f}s"
                raise self._shut_out(message) from error
            raise self._unreachable(f"no answer within {timeout:.0f}s") from error
        except ShellEndedError as error:
            raise self._shut_out(f"not ready yet: {plain(str(error), limit=200)}") from error
        except _SHUT_OUT as error:
            client.refused = True
            strange = not isinstance(error, asyncssh.PermissionDenied)
            raise self._shut_out(_reason(error), unknown=strange) from error
        except ConnectionRefusedError as error:
            reason = f"{_reason(error)}: nothing listens on port {PORT}"
            raise self._unreachable(reason) from error
        except _CUT as error:
            if ssh is not None:
                raise self._shut_out(f"it lets us in, and then: {_reason(error)}") from error
            raise self._unreachable(_reason(error)) from error
        else:
            self._ssh, self._shells, self._broken = ssh, shells, 0
        finally:
            self._broken += not self.connected and client.may_be_in

    async def close(self) -> None:
        """Close it; closing twice is fine."""
        if self._ssh is None:
            return
        ssh, self._ssh, self._shells = self._ssh, None, None
        ssh.abort()
        await ssh.wait_closed()

    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        alone: bool = False,
    ) -> CommandResult:
        try:
            if stdin or alone:
                async with self._channels:
                    line = self._as_root(limited(command, timeout), own=not alone)
                    return await execute(self._require(), line, timeout, stdin)
            if self._shells is None or not self.connected:
                raise self._unreachable("the connection was lost")
            return await self._shells.run(command, timeout)
        except ShellEndedError as error:
            if not self.connected:
                raise self._unreachable("the connection was lost") from error
            return CommandResult(LOST, "", str(error) or "its shell was ended")
        except _CUT as error:
            raise self._unreachable(_reason(error)) from error

    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            channel, session = await self._require().create_connection(_Tunnel, host, port)
        except asyncssh.ChannelOpenError as error:
            raise ConnectionRefusedError(f"port {port} on the node: {error.reason}") from error
        except _CUT as error:
            raise self._unreachable(_reason(error)) from error
        tunnel = cast("_Tunnel", session)
        streams = (asyncssh.SSHReader(tunnel, channel), asyncssh.SSHWriter(tunnel, channel))
        return cast("tuple[asyncio.StreamReader, asyncio.StreamWriter]", streams)

    def peers(self, group: str) -> Sequence[Node]:
        return self._peers(group)

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            sock = await self._dialer.open(self.node, port, 10.0)
        except OSError as error:
            raise ConnectionError(f"port {port} of {self.node.name}: {_reason(error)}") from error
        return await asyncio.open_connection(sock=sock)

    @asynccontextmanager
    async def process(
        self, command: Sequence[str]
    ) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
        """A running command with binary streams, for the callers that stream.

        Raises UnreachableError when the connection is cut inside the block.
        """
        try:
            async with (
                self._channels,
                started(self._require(), self._as_root(command, own=True)) as process,
            ):
                yield process
        except _CUT as error:
            raise self._unreachable(_reason(error)) from error

    @asynccontextmanager
    async def _turn(self, sock: sockets.socket) -> AsyncIterator[None]:
        """Wait for this node's turn. A machine that does not answer never takes one: the socket
        is connected before."""
        try:
            await self._turns.acquire()
        except BaseException:
            sock.close()
            raise
        try:
            yield
        finally:
            self._turns.release()

    async def _handshake(
        self, sock: sockets.socket, trusted: asyncssh.SSHKey, client: _Client
    ) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            sock=sock,
            client_factory=lambda: client,
            host=self.node.address or self.node.name,
            username=self._user,
            client_keys=[self._key],
            known_hosts=([trusted], [], []),
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"],
            compression_algs=None,
            agent_path=None,
            config=None,
            preferred_auth="publickey",
            keepalive_interval=15,
            keepalive_count_max=3,
        )

    async def _registered(self, ssh: asyncssh.SSHClientConnection, far: bool) -> Shells:
        """The shells of a connection, once the node has it on record."""
        shells = Shells(lambda: self._open_shell(ssh), far=far)
        try:
            broken = f" {self._broken}" if self._broken else ""
            await shells.begin(REGISTER.format(broken=broken))
        except BaseException:
            ssh.abort()
            raise
        return shells

    async def _open_shell(self, ssh: asyncssh.SSHClientConnection) -> Shell:
        line = _SHELL.format(root="" if self._user == "root" else f"{SUDO} ")
        _, session = await ssh.create_session(Shell, line, encoding=None)
        return cast("Shell", session)

    def _as_root(self, command: Sequence[str], *, own: bool) -> str:
        """The line that runs a command of ours, or one that the user wrote, with the PATH that it
        then expects."""
        root = [] if self._user == "root" else [SUDO]
        return " ".join([*root, *([TOOLS] if own else []), shlex.join(command)])

    def _require(self) -> asyncssh.SSHClientConnection:
        if self._ssh is None or self._ssh.is_closed():
            raise self._unreachable("the connection was lost")
        return self._ssh

    def _shut_out(self, why: str, *, unknown: bool = False) -> ShutOutError:
        return ShutOutError(f"{self.node.name}: {why}", phase="connection", unknown=unknown)

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f"{self.node.name}: {why}", phase="connection")


class _Client(asyncssh.SSHClient):
    """What is known on this side of one attempt to log in."""

    refused = False
    _connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    @property
    def may_be_in(self) -> bool:
        """Whether the node may have let us in: keys were exchanged, and it did not refuse."""
        if self._connection is None or self.refused:
            return False
        return self._connection.get_extra_info("send_cipher") is not None


class _Tunnel(SSHTCPStreamSession[bytes]):
    """A connection from the node to a port. Callers know sockets: when the ssh connection is
    lost, reading and writing raise ConnectionError, as they do there."""

    def connection_lost(self, exc: Exception | None) -> None:
        lost = ConnectionResetError("the ssh connection was lost") if exc else None
        super().connection_lost(lost)


async def connect_until(
    connection: NodeConnection,
    seconds: float,
    *,
    ready: Callable[[], bool] = lambda: True,
    tell: Callable[[UnreachableError], None] = lambda _: None,
) -> None:
    """Connect, trying again until `seconds` have passed; see `pause_after`. `tell` is given why an
    attempt failed.

    Raises UnreachableError with the last reason; what the node itself answered is not forgotten
    for a last attempt that had little time. `ready` may say that trying makes no sense yet.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    deadline = started + seconds
    last = UnreachableError(f"{connection.node.name}: never ready", phase="connection")
    while loop.time() < deadline:
        if ready():
            timeout = min(ATTEMPT, max(1.0, deadline - loop.time()))
            try:
                return await connection.connect(timeout)
            except UnreachableError as error:
                tell(error)
                answered = isinstance(error, ShutOutError) or timeout == ATTEMPT
                last = error if answered or not isinstance(last, ShutOutError) else last
        now = loop.time()
        await asyncio.sleep(min(pause_after(now - started), max(0.0, deadline - now)))
    raise last


def pause_after(waited: float) -> float:
    """Seconds until the next try: so that a node is found at most an eighth later than it could
    be, within 0.1 and 2 seconds."""
    return min(max(waited / 8, 0.1), 2.0)


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "its host key is not the expected one"
    if isinstance(error, asyncssh.PermissionDenied):
        return "it does not accept our key (yet)"
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return f"its ssh and ours have no method in common: {error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
