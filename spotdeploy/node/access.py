"""Access to a single node outside a run: to inspect it, or by hand with OpenSSH."""

from __future__ import annotations

import asyncio
import getpass
import platform
import shlex
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spotdeploy.check import CommandResult
from spotdeploy.errors import HostError, RefusedError, UnreachableError
from spotdeploy.model import Manifest, Node
from spotdeploy.node import keys, paths
from spotdeploy.node.connection import PORT, Dialer, NodeConnection, connect_until
from spotdeploy.node.diagnostics import DIAGNOSTICS, Diagnostic
from spotdeploy.project import Project, pick
from spotdeploy.provider import Provider, SupportsDial
from spotdeploy.state.journal import Journal

LAST_ATTEMPT: Final = 5.0
"""Seconds that the last attempt gets, when all that is left is to put a login on record."""
_LOGIN_SHELL: Final = 'exec "${SHELL:-/bin/sh}" -l'


@dataclass(frozen=True)
class NodeAccess:
    """All that is needed to talk to one node."""

    project: Project
    """Of the node's group."""
    provider: Provider[Any]
    node: Node
    host_key: str

    @asynccontextmanager
    async def connected(self, patience: float = 0.0) -> AsyncIterator[NodeConnection]:
        """A connection while the block runs; without `patience` there is one attempt, else they go
        on for so many seconds. None leaves a login that the node would take for somebody else's,
        also when we are told to stop.

        Raises UnreachableError when ssh does not answer, RefusedError without keys.
        """
        connection = self.connection()
        try:
            await (connect_until(connection, patience) if patience else connection.connect())
            yield connection
        finally:
            await put_on_record(connection)
            await connection.close()

    def connection(self) -> NodeConnection:
        """A connection that is not made yet. Raises RefusedError when there are no keys, or
        they cannot be used."""
        project = self.project
        login = keys.read(project.keys_folder, project.deployment).login
        return NodeConnection(
            self.node,
            Dialer(self.provider),
            project.config.nodes.user,
            login.load(),
            self.host_key,
            Manifest(()),
        )


async def put_on_record(connection: NodeConnection) -> None:
    """Log in once more where a login of ours may have broken off before the node had it on record:
    it would be taken for somebody else's."""
    if connection.off_record:
        with suppress(UnreachableError):  # then there is nobody to tell
            await connection.connect(LAST_ATTEMPT)


def find(project: Project, name: str) -> NodeAccess:
    """Find a node by name or id. Raises RefusedError when it or its host key is not known."""
    found = project.nodes_with_providers()
    node = pick([node for node, _ in found], name)
    return access(project, node, next(provider for one, provider in found if one is node))


def access(project: Project, node: Node, provider: Provider[Any]) -> NodeAccess:
    """Access to a node that was listed. Raises RefusedError when its host key or its group is not
    known."""
    return NodeAccess(project.group_of(node), provider, node, _host_key(project, node))


def inspect_node(
    project: Project, name: str, asked: Sequence[Diagnostic] = DIAGNOSTICS
) -> list[tuple[Diagnostic, CommandResult]]:
    """Run diagnostics on a node. Raises UnreachableError when ssh does not answer."""
    found = find(project, name)

    async def inspect() -> list[tuple[Diagnostic, CommandResult]]:
        async with found.connected() as connection:
            results = await asyncio.gather(*(connection.run(one.command) for one in asked))
        return list(zip(asked, results, strict=True))

    return asyncio.run(inspect())


def open_shell(project: Project, name: str, command: Sequence[str]) -> list[str]:
    """The OpenSSH command line that opens a node. It is run in the deployment's keys folder, whose
    path needs no quoting then. The session itself marks the node as touched before anything else,
    so a node that was never reached is not marked, and none is entered without a mark.

    Raises HostError without OpenSSH, RefusedError for an unknown node or host key.
    """
    if shutil.which("ssh") is None:
        raise HostError("OpenSSH's client is not installed", hint="apt-get install openssh-client")
    found = find(project, name)
    keys.write_known_hosts(
        project.keys_folder, {id_: key for (_, _, id_), key in pinned(project).items()}
    )
    return ssh_line(found, command)


def ssh_line(found: NodeAccess, command: Sequence[str]) -> list[str]:
    """The command line: our key, only the pinned host key, nothing of the user's own config."""
    project = found.project
    options = {
        "IdentityFile": keys.login_path(Path()).name,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": keys.KNOWN_HOSTS,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": found.node.id,
        "LogLevel": "ERROR",
    }
    if isinstance(found.provider, SupportsDial):
        proxy = shlex.join(found.provider.proxy_command(found.node, PORT))
        options["ProxyCommand"] = proxy.replace("%", "%%")  # else a token of ssh_config(5)
    sudo = "" if project.config.nodes.user == "root" else "sudo -n "
    return [
        *("ssh", "-F", "/dev/null"),
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        *(() if command else ("-t",)),
        f"{project.config.nodes.user}@{found.node.address or found.node.name}",
        "--",
        f"{mark_script('spotdeploy ssh', sudo)}; {' '.join(command) or _LOGIN_SHELL}",
    ]


def mark_script(what: str, sudo: str = "") -> str:
    """A line of shell that marks the node as touched by `what`, or ends the session."""
    who = f"{getpass.getuser()} on {platform.node()}"
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = shlex.quote(f"{when} {who}: {what}")
    return f"printf '%s\\n' {line} | {sudo}tee -a {paths.TOUCHED} >/dev/null || exit 1"


def pinned(project: Project) -> dict[tuple[str, str, str], str]:
    """Provider, location and id of the deployment's nodes to their host keys, as far as those are
    known on this computer. Raises HostError for a journal that cannot be read."""
    if not project.journal_path.exists():
        return {}
    with closing(Journal(project.journal_path)) as journal:
        known = journal.nodes(project.deployment)
    return {(one.provider, one.location, one.id): one.host_key for one in known if one.host_key}


def _host_key(project: Project, node: Node) -> str:
    key = pinned(project).get((node.provider, node.location, node.id))
    if key is not None:
        return key
    raise RefusedError(
        f"the host key of {node.name} is not known here, and none is trusted on first use",
        hint="run this where the node was created, or 'spotdeploy cycle' for fresh nodes",
    )
