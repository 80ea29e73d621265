"""The cells that a command line means."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from spotdeploy.errors import RefusedError
from spotdeploy.matrix.known import has_cells
from spotdeploy.project import Project, pick

if TYPE_CHECKING:
    from spotdeploy.matrix.project import Matrix
    from spotdeploy.model import Node

P = TypeVar("P", bound=Project)


def matrix_of(project: P, only: Sequence[str] | None) -> Matrix[P] | None:
    """The matrix of a project, with the cells that `--only` selects; None where there is none.

    Raises RefusedError for what selects nothing, ConfigError for what makes no cells.
    """
    if has_cells(project):
        from spotdeploy.matrix.project import Matrix

        return Matrix.of(project).only(only or ())
    if only:
        raise RefusedError(
            f"--only {only[0]}: {project.path.name} has no [matrix]", hint="leave it out"
        )
    return None


def nodes_of(project: Project, only: Sequence[str] | None) -> list[Node]:
    """The nodes of a deployment, or of the cells of a matrix. Raises ProviderError."""
    matrix = matrix_of(project, only)
    return matrix.nodes() if matrix else project.nodes()


def one_cell(project: P, only: Sequence[str] | None) -> P:
    """The project, or that of the one cell that `--only` leaves of a matrix.

    Raises RefusedError where it leaves another number of them.
    """
    matrix = matrix_of(project, only)
    if matrix is None:
        return project
    cells = matrix.everything
    if len(cells) != 1:
        choices = (" ".join(f"--only {one}" for one in str(cell).split()) for cell in cells)
        raise RefusedError(
            f"{project.path.name}: matrix: it has {len(cells)} cells, and this command is for one",
            hint=f"choose one: {'; or '.join(choices)}",
        )
    return next(iter(cells.values()))


def show_outputs(project: Project, nodes: Sequence[Node]) -> None:
    """Print what the config's outputs say of these nodes: of those of each deployment."""
    from spotdeploy.labels import DEPLOYMENT
    from spotdeploy.run.outputs import output_lines, outputs_of

    names = dict.fromkeys(node.labels.get(DEPLOYMENT, "") for node in nodes)
    for name in names:
        mine = [node for node in nodes if node.labels.get(DEPLOYMENT, "") == name]
        before = f"{name}: " if len(names) > 1 else ""
        lines = output_lines(outputs_of(project, name, mine), before)
        sys.stdout.write("".join(f"{line}\n" for line in ["", *lines]))


def project_of(project: P, only: Sequence[str] | None, node: str) -> P:
    """The project that a node is of, by its name or id: that of its cell, where there are cells.

    Raises RefusedError for an unknown node.
    """
    matrix = matrix_of(project, only)
    return matrix.project_of(pick(matrix.nodes(), node)) if matrix else project
