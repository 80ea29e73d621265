"""A light far side for many ssh connections: one process that answers what checks ask.

Every address of the loopback network is a node. A command is run once on this computer, and its
answer is given to all who ask it again; what systemd says is written down here.

python bench/endpoint_server.py HOST_KEY LOGIN_KEY.pub
"""

from __future__ import annotations

import asyncio
import re
import resource
import sys
import tempfile
from pathlib import Path

import asyncssh

from spotdeploy.node.connection import REGISTER
from spotdeploy.node.exec import SUDO, TOOLS
from spotdeploy.node.shells import marked

PORT = 22
PREFIX = re.compile(rf"({SUDO} )?({TOOLS} )?(/usr/bin/timeout \S+ \S+ )?")
BEGIN = re.compile(r"printf '\\036([0-9a-f]+)\\n'; printf '\\036\1\\n' >&2; exec (.*)", re.DOTALL)
"""What stands before a command that has a channel of its own."""
DEPLOYMENT_LOG = "/opt/deployment.log"
UNIT = {
    "LoadState": "loaded",
    "LoadError": "",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "Result": "success",
    "Type": "simple",
    "MainPID": "1",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
}
ASKED = re.compile(
    re.escape(marked("LINE", "MARK"))
    .replace("LINE", "(?P<line>.*?)", 1)
    .replace("MARK", "(?P<mark>[0-9a-f]+)", 1)
    .replace("MARK", "(?P=mark)"),
    re.DOTALL,
)
"""What a shell is asked, with the mark that ends the answer."""
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Server(asyncssh.SSHServer):
    """Lets one key in and forwards to what stands behind two ports."""

    def __init__(self, login: asyncssh.SSHKey) -> None:
        self._login = login

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == self._login

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> object:
        return _banner if dest_port == PORT else _http


async def _banner(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
    writer.write(b"SSH-2.0-endpoint\r\n")
    await reader.read()
    writer.close()


async def _http(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HTTP)
    writer.close()


class Answers:
    """What commands say, each run once."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "deployment.log"
        self._log.write_text("deployed\n")
        self._known: dict[str, asyncio.Task[tuple[int, bytes]]] = {}

    async def process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Answer one command, or all that a shell is asked."""
        line = process.command or ""
        if not line.startswith("set -- $SSH_CONNECTION"):
            begin = BEGIN.fullmatch(line)
            assert begin is not None
            code, out = await self._once(begin[2])
            mark = b"\x1e%s\n" % begin[1].encode()
            process.stdout.write(mark + out)
            process.stderr.write(mark)
            process.exit(code)
            return
        asked = ""
        while data := await process.stdin.read(65536):
            asked += data.decode()
            while match := ASKED.match(asked):
                asked = asked[match.end() :]
                code, out = await self._once(match["line"])
                mark = b"\x1e" + match["mark"].encode()
                process.stdout.write(out + mark + b" %d\n" % code)
                process.stderr.write(mark + b" \n")
        process.exit(0)

    async def _once(self, line: str) -> tuple[int, bytes]:
        if line == REGISTER.format(broken=""):
            return 0, b""
        if line not in self._known:
            self._known[line] = asyncio.ensure_future(self._answer(line))
        return await self._known[line]

    async def _answer(self, line: str) -> tuple[int, bytes]:
        line = PREFIX.sub("", line, count=1)
        if line.startswith("systemctl show"):
            wanted = line.split("--property=")[1].split()[0].split(",")
            return 0, "".join(f"{name}={UNIT.get(name, '')}\n" for name in wanted).encode()
        shell = await asyncio.create_subprocess_shell(
            line.replace(DEPLOYMENT_LOG, str(self._log)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await shell.communicate()
        return shell.returncode or 0, out


async def main(host_key: str, login: str) -> None:
    """Serve until killed; says "ready" on standard output once it does."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = asyncssh.read_public_key(login)
    with tempfile.TemporaryDirectory() as folder:
        answers = Answers(Path(folder))
        async with asyncssh.listen(
            "0.0.0.0",
            PORT,
            server_factory=lambda: Server(allowed),
            server_host_keys=[host_key],
            process_factory=answers.process,
            encoding=None,
            backlog=4096,
            login_timeout=300,
            gss_host=None,
        ) as server:
            print("ready", flush=True)
            await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
