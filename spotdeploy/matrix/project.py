"""A config with its cells, and the cells of other days that may still have nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, Self, TypeVar

from spotdeploy import labels
from spotdeploy.config.schema import Matrix as Limits
from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.matrix.cells import Cell
from spotdeploy.matrix.config import read_cells, read_limits
from spotdeploy.matrix.known import Former, known
from spotdeploy.matrix.placing import place, renamed
from spotdeploy.model import Node, NodeState
from spotdeploy.patience import ask_all
from spotdeploy.project import Project
from spotdeploy.state.journal import Journal

P = TypeVar("P", bound=Project)


@dataclass(frozen=True)
class Matrix(Generic[P]):
    """The cells of a project, each with the project that it is."""

    project: P
    """The config as it was read."""
    cells: Mapping[Cell, P]
    """Those of the config; without a `[matrix]`, the deployment itself is the only one."""
    former: Mapping[Cell, P] = field(default_factory=dict)
    """Those that are not in the config any more, and may have nodes."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, project: P) -> Self:
        """The matrix of a project. Raises ConfigError, with the path, for what makes no cells or
        cannot be given to a provider in use, and HostError for a journal that cannot be read."""
        file, table = project.path.name, project.config.matrix
        if table is None:
            plain = Cell(project.deployment, {})
            return cls(project, {plain: project}, _former(project, known(project)))
        cells = read_cells(table, project.deployment, file, project.plugins)
        option = _by_option(project)
        if option and any("provider" in cell.values for cell in cells):
            raise ConfigError(
                f"{option}: {file}: matrix.provider says which providers are in use",
                hint="select cells instead, such as with --only provider=NAME",
            )
        placed = {cell: place(project, cell) for cell in cells}
        found = known(project)
        for cell in cells:
            found.pop(cell.name, None)
        if _may_have_nodes(project):
            found[project.deployment] = Former({}, project.providers)
        return cls(project, placed, _former(project, found), read_limits(table, file))

    @property
    def everything(self) -> Mapping[Cell, P]:
        """All cells that may have nodes."""
        return {**self.cells, **self.former}

    @property
    def providers(self) -> tuple[str, ...]:
        """Every provider of any cell."""
        names = (name for one in self.everything.values() for name in one.providers)
        return tuple(dict.fromkeys(names))

    @property
    def all_providers(self) -> P:
        """The project with the providers of all cells, to look for what any of them made."""
        whole = renamed(self.project, self.project.deployment)
        return replace(whole, providers=self.providers)

    def only(self, wanted: Sequence[str]) -> Self:
        """The cells with these values, each `AXIS=VALUE`: those of one axis are alternatives.

        Raises RefusedError for an axis or value that no cell has, and when no cell is left.
        """
        if not wanted:
            return self
        if self.project.config.matrix is None:
            raise RefusedError(
                f"--only {wanted[0]}: {self.project.path.name} has no [matrix]", hint="leave it out"
            )
        values: dict[str, list[str]] = {}
        for text in wanted:
            axis, value = self._known_value(text)
            values.setdefault(axis, []).append(value)
        chosen = {
            cell: project
            for cell, project in self.cells.items()
            if all(cell.texts.get(axis) in some for axis, some in values.items())
        }
        if not chosen:
            raise RefusedError(
                f"--only {' --only '.join(wanted)}: no cell has all of these",
                hint="there are: " + "; ".join(map(str, self.cells)),
            )
        return replace(self, cells=chosen, former={})

    def named(self, names: Iterable[str]) -> Self:
        """The cells of these names, and none beside them."""
        names = tuple(names)
        cells, former = (
            {cell: one for cell, one in some.items() if cell.name in names}
            for some in (self.cells, self.former)
        )
        return replace(self, cells=cells, former=former)

    def nodes(self) -> list[Node]:
        """The nodes of all cells that are not gone, in the order of the cells; asked of each
        location once, however many cells there are. Raises ProviderError."""
        opened = self.all_providers.open_providers()
        lists = ask_all([partial(provider.nodes, labels.anyones()) for provider, _ in opened])
        return self.ours(
            node for nodes in lists for node in nodes if node.state is not NodeState.GONE
        )

    def ours(self, nodes: Iterable[Node]) -> list[Node]:
        """Those of some nodes that are of a cell, in the order of the cells."""
        some = list(nodes)
        return [
            node
            for cell in self.everything
            for node in some
            if node.labels.get(labels.DEPLOYMENT) == cell.name
        ]

    def project_of(self, node: Node) -> P:
        """The project of the cell that a node is of."""
        name = node.labels.get(labels.DEPLOYMENT)
        return next(one for cell, one in self.everything.items() if cell.name == name)

    def _known_value(self, text: str) -> tuple[str, str]:
        axis, equals, value = text.partition("=")
        there: dict[str, dict[str, None]] = {}
        for cell in self.cells:
            for name, one in cell.texts.items():
                there.setdefault(name, {})[one] = None
        if not equals:
            raise RefusedError(f"--only {text}: write AXIS=VALUE", hint=_choices(there))
        if axis not in there:
            raise RefusedError(f"--only {text}: no axis {axis!r}", hint=_choices(there))
        if value not in there[axis]:
            raise RefusedError(
                f"--only {text}: {axis} is never {value!r}", hint=_choices({axis: there[axis]})
            )
        return axis, value


def _choices(there: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{axis}={' or '.join(values)}" for axis, values in there.items())


def _former(project: P, found: Mapping[str, Former]) -> dict[Cell, P]:
    made = {}
    for name, one in found.items():
        providers = one.providers or project.providers
        if _by_option(project):
            providers = tuple(name for name in providers if name in project.providers)
        if providers:
            placed = replace(renamed(project, name), providers=providers)
            made[Cell(name, one.values)] = placed
    return made


def _by_option(project: Project) -> str:
    """The option that said which providers are in use, if one did."""
    source = project.settings.sources.get("providers", "")
    return source if source.startswith("--") else ""


def _may_have_nodes(project: Project) -> bool:
    """Whether the deployment had nodes of its own before it had cells, as the journal knows."""
    if not project.journal_path.exists():
        return False
    name = project.deployment
    with closing(Journal(project.journal_path)) as journal:
        return bool(journal.nodes(name) or journal.open_intents(name) or journal.unproven(name))
