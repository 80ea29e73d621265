"""The nodes that a command line means: by name, id or group, of a deployment or of cells."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spotdeploy import labels
from spotdeploy.cli.cells import matrix_of
from spotdeploy.cli.debug import hide_secrets
from spotdeploy.errors import RefusedError
from spotdeploy.labels import group_of
from spotdeploy.model import Node
from spotdeploy.node.access import NodeAccess, access
from spotdeploy.project import Project, pick
from spotdeploy.run.location import Location, list_nodes
from spotdeploy.text import nearest, plain


class Chosen:
    """What was asked for, and the nodes that it is at the moment."""

    def __init__(
        self,
        project: Project,
        only: Sequence[str] | None,
        names: Sequence[str] = (),
        groups: Sequence[str] = (),
    ) -> None:
        """`names` are of nodes or groups. Raises what `matrix_of` raises."""
        self._project = project
        self._matrix = matrix_of(project, only)
        self._names = tuple(names)
        self._groups = tuple(groups)
        self._hidden: set[str] = set()
        whole = self._matrix.all_providers if self._matrix else project
        self._listed = [Location(*one, _tell) for one in whole.open_providers()]
        self._locations: dict[tuple[str, str, str], Location] = {}
        if self._matrix is None:
            self._locations = {("", *one.key): one for one in self._listed}
            self._hide(project)

    @property
    def by_name(self) -> bool:
        """Whether nodes were named, and not only groups: then no other nodes can come."""
        return bool(set(self._names) - set(self._known()))

    @property
    def one(self) -> bool:
        """Whether it is one node, by its name."""
        return len(self._names) == 1 and not self._groups and self.by_name

    @property
    def what(self) -> str:
        """Whose nodes they are, for messages."""
        groups = " and ".join([*self._names, *self._groups])
        where = f"group {groups} of " if groups else ""
        return f"{where}{self._project.deployment}"

    async def nodes(self) -> list[Node]:
        """The nodes, asked of the clouds.

        Raises RefusedError for a name or group that nothing has, with the nearest one, and
        ProviderError.
        """
        if self._matrix:
            there = self._matrix.ours(await list_nodes(self._listed, labels.anyones()))
        else:
            there = await list_nodes(self._listed, self._project.scope)
        groups = self._known(there)
        for name in self._groups:
            if name not in groups:
                raise RefusedError(
                    f"no group is named {name!r}", hint=_hint(name, groups, "the groups are")
                )
        if not (self._names or self._groups):
            return there
        wanted: dict[str, None] = {}
        for name in self._names:
            if name in groups and name not in {node.name for node in there}:
                wanted |= {node.id: None for node in there if group_of(node.labels) == name}
            elif any(name in (node.name, node.id) for node in there):
                wanted[pick(there, name).id] = None
            else:
                known = [*(node.name for node in there), *groups]
                if not there:
                    raise RefusedError(
                        f"no node or group is named {name!r}, and there are no nodes",
                        hint="spotdeploy create",
                    )
                raise RefusedError(
                    f"no node or group is named {name!r}", hint=_hint(name, known, "there are")
                )
        return [
            node for node in there if node.id in wanted or group_of(node.labels) in self._groups
        ]

    def hide_secrets(self, nodes: Sequence[Node]) -> None:
        """From now on take the secrets of these nodes' cells out of everything that is shown, as
        those of a deployment without cells are from the beginning. Warns of those that cannot be
        read."""
        for project in map(self.project_of, nodes):
            self._hide(project)

    def project_of(self, node: Node) -> Project:
        """The project that a node is of: that of its cell, where there are cells."""
        return self._matrix.project_of(node) if self._matrix else self._project

    def location_of(self, node: Node) -> Location:
        """The location that a node is in, opened once; one of the node's cell, where there are."""
        project, place = self.project_of(node), (node.provider, node.location)
        key = (project.deployment if self._matrix else "", *place)
        if key not in self._locations:
            self._locations[key] = Location(project.open_provider(*place), node.location, _tell)
        return self._locations[key]

    def access(self, node: Node) -> NodeAccess:
        """Access to one of the nodes. Raises RefusedError when its host key, its keys or its group
        are not known."""
        return access(self.project_of(node), node, self.location_of(node).provider)

    def close(self) -> None:
        """Let the locations go."""
        for location in {*self._listed, *self._locations.values()}:
            location.close()

    def _hide(self, project: Project) -> None:
        if project.deployment not in self._hidden:
            self._hidden.add(project.deployment)
            hide_secrets(project)

    def _known(self, there: Sequence[Node] = ()) -> list[str]:
        projects = self._matrix.everything.values() if self._matrix else (self._project,)
        named = [name for project in projects for name in project.groups]
        return list(dict.fromkeys([*named, *(group_of(node.labels) for node in there)]))


def _tell(text: str) -> None:
    sys.stderr.write(f"{plain(text)}\n")


def _hint(name: str, known: Sequence[str], words: str) -> str:
    near = nearest(name, known)
    return f"did you mean {near}?" if near else f"{words}: {', '.join(known)}"
