"""The nodes of a deployment as others are told of them: where they are, and what opens them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

from spotdeploy.errors import RefusedError
from spotdeploy.labels import expires_at
from spotdeploy.model import Node
from spotdeploy.node import keys
from spotdeploy.node.access import pinned
from spotdeploy.node.connection import PORT
from spotdeploy.project import Project
from spotdeploy.provider import SupportsDial
from spotdeploy.run.outputs import fill_outputs, near, numbers_of
from spotdeploy.run.roster import node_key, numbered
from spotdeploy.text import plain

FORMAT: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}")
"""What files of other programs can take as it is: these texts come from a cloud."""


class InventoryNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    name: str
    id: str
    """The provider's."""
    index: int
    """From 0, in its group."""
    provider: str
    location: str
    zone: str | None
    size: str | None
    market: str
    state: str
    address: str | None
    """Where it is reached from outside."""
    private_address: str | None
    """Where it is reached from its own network; null where it has no other."""
    port: int
    """Of ssh."""
    user: str
    """Who logs in by ssh."""
    host_key: str | None
    """Its ssh host key, as OpenSSH writes public ones; null where it is not known here."""
    proxy_command: tuple[str, ...]
    """The command through which ssh reaches it; empty where it is dialled."""
    expires_at: float | None
    """When its time to live ends, in Unix seconds; null where it does not say."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What `spotdeploy export --format json` prints."""

    format: int = FORMAT
    deployment: str
    groups: dict[str, tuple[InventoryNode, ...]]
    """The nodes of each group, by index. Those of a config that names no groups are `nodes`."""
    outputs: dict[str, str | None]
    """What `[outputs]` says; null for what is not known."""
    identity_file: str | None
    """The private ssh key that opens the nodes, as a path; null where it is not on this computer.
    """
    known_hosts_file: str | None
    """The host keys of the nodes, each under the node's id; null as above."""

    @property
    def nodes(self) -> list[InventoryNode]:
        """Those of all groups."""
        return [node for group in self.groups.values() for node in group]


def inventory_schema_text() -> str:
    """The JSON Schema of an inventory, as indented JSON."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What spotdeploy export --format json prints",
        **msgspec.json.schema(Inventory),
    }
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


def read_inventory(project: Project, groups: Collection[str] | None = None) -> Inventory:
    """The nodes that exist, of all groups or of these, asked of the providers, with what the
    journal knows of them. Where the keys are on this computer, writes the list of host keys beside
    them.

    Raises RefusedError for an unknown group, when there are no nodes, or when one is called what no
    file can take; ProviderError, and HostError for a journal that cannot be read.
    """
    for group in groups or ():
        if group not in project.groups:
            raise RefusedError(f"there is no group {group!r}", hint=near(group, project.groups))
    found = project.nodes_with_providers()
    providers = {node_key(node): provider for node, provider in found}
    by_group = numbered([node for node, _ in found], numbers_of(project, project.deployment))
    chosen = [name for name in (*project.groups, *by_group) if name in (groups or by_group)]
    shown = {name: by_group[name] for name in chosen if name in by_group}
    if not shown:
        which = f" in {' or '.join(groups)}" if groups else ""
        raise RefusedError(
            f"no nodes of {project.deployment} exist{which}", hint="run 'spotdeploy cycle'"
        )
    pins = pinned(project)
    identity, hosts = keys.login_path(project.keys_folder), None
    if identity.exists():
        ids = {id_: key for (_, _, id_), key in pins.items()}
        hosts = keys.write_known_hosts(project.keys_folder, ids)
    return Inventory(
        deployment=project.deployment,
        groups={
            name: tuple(
                _entry(project, node, index, providers[node_key(node)], pins.get(node_key(node)))
                for index, node in members.items()
            )
            for name, members in shown.items()
        },
        outputs=fill_outputs(project.config.outputs, by_group),
        identity_file=str(identity.resolve()) if hosts else None,
        known_hosts_file=str(hosts.resolve()) if hosts else None,
    )


def _entry(
    project: Project, node: Node, index: int, provider: object, host_key: str | None
) -> InventoryNode:
    for what, text, shape in (
        ("name", node.name, _NAME),
        ("id", node.id, keys.NODE_ID),
        ("address", node.address, _ADDRESS),
        ("private address", node.private_address, _ADDRESS),
    ):
        if text and not shape.fullmatch(text):
            raise RefusedError(
                f"the {what} of a node is {plain(text, limit=100)!r}, which is not safe to hand to "
                "another program",
                hint=f"see in {node.provider} {node.location} who made it: "
                f"{plain(node.id, limit=100)}",
            )
    proxy = provider.proxy_command(node, PORT) if isinstance(provider, SupportsDial) else ()
    return InventoryNode(
        name=node.name,
        id=node.id,
        index=index,
        provider=node.provider,
        location=node.location,
        zone=node.zone,
        size=node.size,
        market=str(node.market),
        state=str(node.state),
        address=node.address,
        private_address=node.private_address,
        port=PORT,
        user=project.group_of(node).config.nodes.user,
        host_key=host_key,
        proxy_command=tuple(proxy),
        expires_at=expires_at(node.labels),
    )
