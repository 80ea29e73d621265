"""The cells that a command line means."""

from __future__ import annotations

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


def project_of(project: P, only: Sequence[str] | None, node: str) -> P:
    """The project that a node is of, by its name or id: that of its cell, where there are cells.

    Raises RefusedError for an unknown node.
    """
    matrix = matrix_of(project, only)
    return matrix.project_of(pick(matrix.nodes(), node)) if matrix else project
