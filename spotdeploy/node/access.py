"""Access to a single node outside a run: to inspect it, or by hand with OpenSSH."""

from __future__ import annotations

import asyncio
import getpass
import platform
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotdeploy.check import CommandResult
from spotdeploy.errors import HostError, RefusedError, UnreachableError
from spotdeploy.model import Manifest, Node
from spotdeploy.node import keys, paths
from spotdeploy.node.connection import PORT, Dialer, NodeConnection
from spotdeploy.node.diagnostics import DIAGNOSTICS, Diagnostic
from spotdeploy.project import Project, pick
from spotdeploy.provider import Provider, SupportsDial
from spotdeploy.state.journal import Journal


@dataclass(frozen=True)
class NodeAccess:
    """All that is needed to talk to one node."""

    project: Project
    provider: Provider[Any]
    node: Node
    host_key: str

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[NodeConnection]:
        """A connection while the block runs. Raises UnreachableError when ssh does not answer."""
        project = self.project
        login = keys.read(project.keys_folder, project.deployment).login
        connection = NodeConnection(
            self.node,
            Dialer(self.provider),
            project.config.nodes.user,
            login.load(),
            self.host_key,
            Manifest(()),
        )
        await connection.connect()
        try:
            yield connection
        finally:
            await connection.close()


def find(project: Project, name: str) -> NodeAccess:
    """Find a node by name or id. Raises RefusedError when it or its host key is not known."""
    found = project.nodes_with_providers()
    node = pick([node for node, _ in found], name)
    return access(project, node, next(provider for one, provider in found if one is node))


def access(project: Project, node: Node, provider: Provider[Any]) -> NodeAccess:
    """Access to a node that was listed. Raises RefusedError when its host key is not known."""
    return NodeAccess(project, provider, node, _host_key(project, node))


def inspect_node(project: Project, name: str) -> list[tuple[Diagnostic, CommandResult]]:
    """Run every diagnostic on a node. Raises UnreachableError when ssh does not answer."""
    found = find(project, name)

    async def inspect() -> list[tuple[Diagnostic, CommandResult]]:
        async with found.connected() as connection:
            results = await asyncio.gather(*(connection.run(one.command) for one in DIAGNOSTICS))
        return list(zip(DIAGNOSTICS, results, strict=True))

    return asyncio.run(inspect())


def open_shell(project: Project, name: str, command: Sequence[str]) -> list[str]:
    """Mark the node as touched, and give the OpenSSH command line that opens it.

    Raises HostError without OpenSSH, UnreachableError when the mark cannot be left.
    """
    if shutil.which("ssh") is None:
        raise HostError("OpenSSH's client is not installed", hint="apt-get install openssh-client")
    found = find(project, name)
    asyncio.run(_touch(found))
    known_hosts = project.keys_folder / keys.KNOWN_HOSTS
    known_hosts.write_text(f"{found.node.id} {found.host_key}\n", encoding="utf-8")
    return ssh_line(found, known_hosts, command)


def ssh_line(found: NodeAccess, known_hosts: Path, command: Sequence[str]) -> list[str]:
    """The command line: our key, only the pinned host key, nothing of the user's own config."""
    project = found.project
    options = {
        "IdentityFile": str(keys.login_path(project.keys_folder)),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": found.node.id,
        "LogLevel": "ERROR",
    }
    if isinstance(found.provider, SupportsDial):
        options["ProxyCommand"] = shlex.join(found.provider.proxy_command(found.node, PORT))
    return [
        *("ssh", "-F", "/dev/null"),
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        f"{project.config.nodes.user}@{found.node.address or found.node.name}",
        *(("--", *command) if command else ()),
    ]


async def _touch(found: NodeAccess) -> None:
    who = f"{getpass.getuser()} on {platform.node()}"
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    async with found.connected() as connection:
        result = await connection.run(
            ["tee", "-a", paths.TOUCHED], stdin=f"{when} {who}: spotdeploy ssh\n".encode()
        )
    if result.exit_code != 0:
        raise UnreachableError(
            f"{found.node.name}: cannot mark it as touched: {result.stderr.strip()}",
            phase="ssh",
        )


def _host_key(project: Project, node: Node) -> str:
    journal = Journal(project.journal_path)
    try:
        for known in journal.nodes(project.deployment):
            same = (known.provider, known.location, known.id)
            if same == (node.provider, node.location, node.id) and known.host_key:
                return known.host_key
    finally:
        journal.close()
    raise RefusedError(
        f"the host key of {node.name} is not known here, and none is trusted on first use",
        hint="run this where the node was created, or 'spotdeploy cycle' for fresh nodes",
    )
