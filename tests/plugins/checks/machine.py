"""A real machine that is made ready as the core does it: user-data, ssh, shipping, rebooting."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotdeploy.check import Check, CheckResult
from spotdeploy.errors import UnreachableError
from spotdeploy.model import Manifest, Node
from spotdeploy.node import keys
from spotdeploy.node.connection import Dialer, NodeConnection, connect_until
from spotdeploy.node.user_data import UserData
from spotdeploy.payload.archive import stream
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.phases.reboot import go_down_script
from spotdeploy.phases.ship import receive_script
from spotdeploy_local import convert
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import MachineSpec
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout
from spotdeploy_local.provider import LocalProvider
from tests.plugins.checks.here import configured

USER = "spotdeploy"
PATIENCE = 60.0
FOR_ANYONE = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes")


@dataclass(frozen=True)
class RealNode:
    """A machine with a shipped payload, and spotdeploy's own connection to it."""

    engine: NspawnEngine
    node: Node
    connection: NodeConnection
    key: Path

    async def ask(self, cls: type[Check[Any]], **keys: object) -> CheckResult:
        """Ask a check once."""
        return await configured(cls, **keys).run(self.node, self.connection)

    async def ask_until(
        self, true: Callable[[CheckResult], bool], cls: type[Check[Any]], **keys: object
    ) -> CheckResult:
        """Ask a check until its answer is as wanted, as the core asks again."""
        async with asyncio.timeout(PATIENCE):
            while True:
                result = await self.ask(cls, **keys)
                if true(result):
                    return result
                await asyncio.sleep(0.1)

    async def do(self, script: str) -> str:
        """Run a script over spotdeploy's own connection, as the payload's entry would."""
        done = await self.connection.run(["sh", "-ec", script], timeout=PATIENCE)
        assert done.exit_code == 0, done
        return done.stdout

    async def log_in(self, *arguments: str, given: str = "") -> None:
        """Log in with OpenSSH and the bare key, as a person would."""
        proxy = " ".join(self.engine.proxy_command(self.node.id, 22))
        options = [*FOR_ANYONE, f"ProxyCommand={proxy}", "LogLevel=ERROR"]
        line = ["ssh", "-F", "/dev/null", "-i", str(self.key)]
        line += [part for option in options for part in ("-o", option)]
        line += [arguments[0], f"{USER}@node", *arguments[1:]]
        null = asyncio.subprocess.DEVNULL
        ssh = await asyncio.create_subprocess_exec(
            *line, stdin=asyncio.subprocess.PIPE, stdout=null, stderr=null
        )
        try:
            async with asyncio.timeout(PATIENCE):
                await ssh.communicate(given.encode())
        finally:
            if ssh.returncode is None:
                ssh.kill()
                await ssh.wait()

    async def reboot(self) -> None:
        """Reboot as the reboot phase does it, and come back over a new connection."""
        boots = self._boots()
        with suppress(UnreachableError):
            await self.connection.run(["sh", "-c", go_down_script(secrets.token_hex(16))])
        await self.connection.close()
        await connect_until(self.connection, PATIENCE, ready=lambda: self._boots() > boots)

    def _boots(self) -> int:
        return next(one.boots for one in self.engine.machines() if one.id == self.node.id)


@asynccontextmanager
async def booted(folder: Path) -> AsyncIterator[RealNode]:
    """Boot a machine, ship to it, and destroy it at the end."""
    engine = NspawnEngine(Layout(folder / "state", Path("/var/cache/spotdeploy")))
    engine.prepare(lambda _: None)
    pair = keys.make(folder / "keys", "checks")
    manifest = _manifest(folder)
    spec = MachineSpec(
        id="checked-1",
        name="checked-1",
        network="checks",
        user_data=UserData(USER, pair, 1800).encode(16384),
        labels={"spotdeploy-digest": manifest.digest[:32]},
    )
    node = convert.node(await asyncio.to_thread(engine.start, spec))
    dialer = Dialer(LocalProvider(LocalConfig(), "here", engine))
    connection = NodeConnection(
        node, dialer, USER, pair.login.load(), pair.bootstrap_host.public, manifest
    )
    try:
        await connect_until(connection, PATIENCE)
        script = ["sh", "-c", receive_script(manifest.digest)]
        shipped = await connection.run(script, stdin=b"".join(stream(manifest)))
        assert shipped.exit_code == 0, shipped
        yield RealNode(engine, node, connection, keys.login_path(folder / "keys"))
    finally:
        await connection.close()
        await asyncio.to_thread(engine.destroy, [node.id])


def _manifest(folder: Path) -> Manifest:
    tree, uploads = folder / "tree", folder / "uploads"
    (tree / "conf").mkdir(parents=True)
    uploads.mkdir()
    (tree / "conf/app.ini").write_text("answer = 42\n")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (uploads / "tool").write_bytes(bytes(4096))
    return build_manifest(tree, [uploads])
