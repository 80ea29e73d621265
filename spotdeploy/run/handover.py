"""Access to a deployment's nodes for a colleague's computer: the ssh keys and the host keys, in a
file.

The file holds data and nothing that is run: no path, no command, no option of ssh. What is read
from one is checked whole before anything is written.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import msgspec

from spotdeploy import labels
from spotdeploy.config.schema import Name
from spotdeploy.errors import HostError, RefusedError
from spotdeploy.model import Node, NodeState
from spotdeploy.node import keys
from spotdeploy.node.access import pinned
from spotdeploy.project import Project
from spotdeploy.provider import SupportsDial
from spotdeploy.run.outputs import numbers_of
from spotdeploy.run.roster import node_key, numbered
from spotdeploy.state.folder import private
from spotdeploy.state.journal import Journal, Moment
from spotdeploy.text import counted, plain

FORMAT: Final = 1
LIMIT: Final = 16 << 20
"""Bytes of a file that is read: ten thousand nodes are 4 MiB."""
Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
Place = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
"""It may be part of a host's name, of which there is one label."""
Id = Annotated[str, msgspec.Meta(pattern=rf"^{keys.NODE_ID.pattern}\Z")]
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


class HandedNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node."""

    provider: Word
    location: Place
    id: Id
    name: Word
    run: Label
    index: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    host_key: Text
    """OpenSSH's public key text."""


class HandedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair of keys, in OpenSSH's formats."""

    private: Text = ""
    public: Text = ""

    def __repr__(self) -> str:
        return "HandedKey([redacted])"


class Handover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    format: int = FORMAT
    deployment: Name
    expires_at: Moment
    """When the last of the nodes ends itself (Unix seconds)."""
    login: HandedKey
    bootstrap_host: HandedKey
    nodes: Annotated[tuple[HandedNode, ...], msgspec.Meta(min_length=1, max_length=10_000)]


def export_access(project: Project, file: Path, now: float | None = None) -> Handover:
    """Write the file, for its owner alone, about the nodes that exist; gives what is in it.

    Asks the providers. Raises RefusedError where the file is there already, where there are no
    nodes that another computer can reach, and where their keys are not on this one; HostError.
    """
    login = keys.read(project.keys_folder, project.deployment)
    pins = pinned(project)
    found = project.nodes_with_providers()
    far = [node for node, provider in found if not isinstance(provider, SupportsDial)]
    if found and not far:
        raise RefusedError(
            f"the nodes of {project.deployment} are of provider {found[0][0].provider}, which "
            "only this computer reaches: their network is inside it",
            hint="log in to this computer; 'access export' is for nodes of a cloud",
        )
    nodes = [node for node in far if node_key(node) in pins]
    if not nodes:
        raise RefusedError(
            f"there are no nodes of {project.deployment} of which a host key is known here",
            hint="run 'spotdeploy cycle', or 'spotdeploy list' to see what there is",
        )
    by_group = numbered([node for node, _ in found], numbers_of(project, project.deployment))
    numbers = {node_key(node): at for group in by_group.values() for at, node in group.items()}
    ends = [labels.expires_at(node.labels) for node in nodes]
    handover = Handover(
        deployment=project.deployment,
        expires_at=max(one or (now or time.time()) + _LONGEST for one in ends),
        login=HandedKey(private=login.login.private, public=login.login.public),
        bootstrap_host=HandedKey(
            private=login.bootstrap_host.private, public=login.bootstrap_host.public
        ),
        nodes=tuple(
            HandedNode(
                provider=node.provider,
                location=node.location,
                id=node.id,
                name=node.name,
                run=node.labels.get(labels.RUN, ""),
                index=numbers[node_key(node)],
                host_key=pins[node_key(node)],
            )
            for node in nodes
        ),
    )
    data = msgspec.json.format(msgspec.json.encode(handover)) + b"\n"
    _decoded(data, file)  # what cannot be taken over is not handed on
    _write(file, data)
    return handover


def import_access(project: Project, file: Path, now: float | None = None) -> Handover:
    """Take over what a file says, into the state folder; gives what was in it.

    Raises RefusedError, with nothing written, for a file that others can read, that is no such
    file, that is of another deployment or of nodes that have ended, and where this computer knows
    nodes or keys of the deployment already; HostError.
    """
    handover = _decoded(_read(file), file)
    if handover.deployment != project.deployment:
        raise RefusedError(
            f"{file} is about {handover.deployment}, and {project.path.name} about "
            f"{project.deployment}",
            hint=f"run it in that one's folder, or with --deployment {handover.deployment}",
        )
    if handover.expires_at < (time.time() if now is None else now):
        raise RefusedError(
            f"the nodes that {file} is about have ended themselves", hint="ask for a new file"
        )
    if other := {node.provider for node in handover.nodes}.difference(project.providers):
        raise RefusedError(
            f"{file} is about nodes of {' and '.join(sorted(other))}, which is no provider of "
            f"{project.path.name}",
            hint="import it in the project that they are of",
        )
    pair = keys.Keys(_pair(handover.login, file), _pair(handover.bootstrap_host, file))
    pins = [_host_key(node, file) for node in handover.nodes]
    _require_free(project)
    keys.keep(project.keys_folder, pair, imported=True)  # from here on it can be repeated
    with closing(Journal(project.journal_path)) as journal:
        made = [_node(project, node) for node in handover.nodes]
        indexes = [one.index for one in handover.nodes]
        journal.seen(made, project.deployment)
        journal.number(project.deployment, zip(made, indexes, strict=True))
        for node, host_key in zip(made, pins, strict=True):
            journal.pin(node, host_key)
    return handover


_HALF: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a file that was begun."""
_LONGEST: Final = 7 * 86400.0
"""Seconds for which a file is good whose nodes do not say when they end."""


def _write(file: Path, data: bytes) -> None:
    try:
        with open(file, "xb", opener=private) as stream:
            stream.write(data)
    except FileExistsError as error:
        raise RefusedError(f"{file} is there already", hint="name another file") from error
    except OSError as error:
        if error.errno in _HALF:
            file.unlink(missing_ok=True)
        raise HostError(
            f"cannot write {file}: {error.strerror}", hint="name another file"
        ) from error


def _read(file: Path) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise HostError(
            f"cannot read {file}: {error.strerror}", hint="name what 'access export' wrote"
        ) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise RefusedError(f"{file} is no file", hint="name what 'access export' wrote")
    with os.fdopen(descriptor, "rb") as stream:
        if status.st_mode & 0o077:
            raise RefusedError(
                f"{file} can be read by others, and holds a private key",
                hint=f"chmod 600 {file}, if nobody else did read it",
            )
        if status.st_size > LIMIT:
            raise RefusedError(
                f"{file} has {status.st_size} bytes, and such a file at most {LIMIT}",
                hint="name what 'access export' wrote",
            )
        return stream.read(LIMIT)


def _decoded(data: bytes, file: Path) -> Handover:
    hint = "name what 'access export' of this version wrote"
    try:
        handover = msgspec.json.decode(data, type=Handover)
    except msgspec.MsgspecError as error:
        raise RefusedError(
            f"{file} gives no access: {plain(str(error), limit=200)}", hint=hint
        ) from error
    if handover.format != FORMAT:
        raise RefusedError(f"{file} is of format {handover.format}, not {FORMAT}", hint=hint)
    if len({(n.provider, n.location, n.id) for n in handover.nodes}) < len(handover.nodes):
        raise RefusedError(f"{file} gives no access: a node is in it twice", hint=hint)
    return handover


def _pair(key: HandedKey, file: Path) -> keys.KeyPair:
    """The pair as this program would have written it."""
    try:
        return keys.read_pair(key.private, key.public)
    except ValueError as error:
        raise RefusedError(f"{file} gives no access: {error}", hint="ask for a new file") from error


def _host_key(node: HandedNode, file: Path) -> str:
    try:
        return keys.public_key(node.host_key)
    except ValueError as error:
        raise RefusedError(
            f"{file} gives no access: the host key of {node.name}: {error}",
            hint="ask for a new file",
        ) from error


def _require_free(project: Project) -> None:
    """Refuse what would take the place of anything that is known here, but for an earlier file."""
    name = project.deployment
    if keys.are_imported(project.keys_folder):
        return
    there = "its ssh keys are" if keys.login_path(project.keys_folder).exists() else ""
    if project.journal_path.exists() and not there:
        with closing(Journal(project.journal_path)) as journal:
            known = len(journal.nodes(name)) + len(journal.open_intents(name))
        there = f"{counted(known, 'node')} of it may be" if known else ""
    if there:
        raise RefusedError(
            f"{name} is known on this computer already: {there} in {project.state}",
            hint="keep it apart, in a folder of its own: SPOTDEPLOY_STATE=FOLDER, for this command "
            "and those that follow",
        )


def _node(project: Project, node: HandedNode) -> Node:
    marks = {**project.scope, labels.RUN: node.run}
    return Node(node.id, node.name, node.provider, node.location, NodeState.RUNNING, labels=marks)
