"""Reaching a single node outside a run: to inspect it, or by hand with OpenSSH."""

from __future__ import annotations

import asyncio
import getpass
import platform
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spotdeploy import project
from spotdeploy.check import CommandResult
from spotdeploy.config.schema import Settings
from spotdeploy.errors import HostError, RefusedError, UnreachableError
from spotdeploy.labels import scope
from spotdeploy.model import Node
from spotdeploy.node import keys, paths
from spotdeploy.node.connection import PORT, Dialer, NodeConnection
from spotdeploy.node.diagnostics import DIAGNOSTICS, Diagnostic
from spotdeploy.payload.manifest import Manifest
from spotdeploy.plugins import Registry
from spotdeploy.project import pick
from spotdeploy.provider import Provider, SupportsDial
from spotdeploy.state.journal import Journal

KNOWN_HOSTS: Final = "known_hosts"


@dataclass(frozen=True)
class NodeAccess:
    """All that is needed to talk to one node."""

    settings: Settings
    provider: Provider[Any]
    node: Node
    host_key: str

    @property
    def folder(self) -> Path:
        """Where the deployment's keys are."""
        return self.settings.state / self.settings.config.deployment

    def connection(self) -> NodeConnection:
        """A connection, not yet connected."""
        config = self.settings.config
        login = keys.read(self.folder, config.deployment).login
        return NodeConnection(
            self.node,
            Dialer(self.provider),
            config.nodes.user,
            login.load(),
            self.host_key,
            Manifest(()),
        )


def find(registry: Registry, settings: Settings, providers: Sequence[str], name: str) -> NodeAccess:
    """Find a node by name or id. Raises RefusedError when it or its host key is not known."""
    labels = scope(settings.config.deployment)
    opened = project.open_providers(registry, settings, providers)
    found = [(node, provider) for provider, _ in opened for node in provider.nodes(labels)]
    node = pick([node for node, _ in found], name)
    provider = next(provider for one, provider in found if one is node)
    return NodeAccess(settings, provider, node, _host_key(settings, node))


def inspect_node(
    registry: Registry, settings: Settings, providers: Sequence[str], name: str
) -> list[tuple[Diagnostic, CommandResult]]:
    """Run every look on a node. Raises UnreachableError when ssh does not answer."""
    connection = find(registry, settings, providers, name).connection()

    async def inspect() -> list[tuple[Diagnostic, CommandResult]]:
        await connection.connect()
        try:
            results = await asyncio.gather(
                *(connection.run(diagnostic.command) for diagnostic in DIAGNOSTICS)
            )
        finally:
            await connection.close()
        return list(zip(DIAGNOSTICS, results, strict=True))

    return asyncio.run(inspect())


def open_by_hand(
    registry: Registry,
    settings: Settings,
    providers: Sequence[str],
    name: str,
    command: Sequence[str],
) -> list[str]:
    """Mark the node as touched, and give the OpenSSH command line that opens it.

    Raises HostError without OpenSSH, UnreachableError when the mark cannot be left.
    """
    if shutil.which("ssh") is None:
        raise HostError("OpenSSH's client is not installed", hint="apt-get install openssh-client")
    reach = find(registry, settings, providers, name)
    asyncio.run(_touch(reach.connection()))
    known_hosts = reach.folder / KNOWN_HOSTS
    known_hosts.write_text(f"{reach.node.id} {reach.host_key}\n", encoding="utf-8")
    return ssh_line(reach, known_hosts, command)


def ssh_line(reach: NodeAccess, known_hosts: Path, command: Sequence[str]) -> list[str]:
    """The command line: our key, only the pinned host key, nothing of the user's own config."""
    options = {
        "IdentityFile": str(keys.login_path(reach.folder)),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": reach.node.id,
        "LogLevel": "ERROR",
    }
    if isinstance(reach.provider, SupportsDial):
        options["ProxyCommand"] = shlex.join(reach.provider.proxy_command(reach.node, PORT))
    user = reach.settings.config.nodes.user
    return [
        *("ssh", "-F", "/dev/null"),
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        f"{user}@{reach.node.address or reach.node.name}",
        *(("--", *command) if command else ()),
    ]


async def _touch(connection: NodeConnection) -> None:
    who = f"{getpass.getuser()} on {platform.node()}"
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    await connection.connect()
    try:
        result = await connection.run(
            ["tee", "-a", paths.TOUCHED], stdin=f"{when} {who}: spotdeploy ssh\n".encode()
        )
    finally:
        await connection.close()
    if result.exit_code != 0:
        raise UnreachableError(
            f"{connection.node.name}: cannot mark it as touched: {result.stderr.strip()}",
            phase="ssh",
        )


def _host_key(settings: Settings, node: Node) -> str:
    journal = Journal(settings.state / "journal.db")
    try:
        for known in journal.nodes(settings.config.deployment):
            same = (known.provider, known.location, known.id)
            if same == (node.provider, node.location, node.id) and known.host_key:
                return known.host_key
    finally:
        journal.close()
    raise RefusedError(
        f"the host key of {node.name} is not known here, and none is trusted on first use",
        hint="run this where the node was created, or 'spotdeploy cycle' for fresh nodes",
    )
