"""What the text under each attribute of a class says: Python itself keeps no such docstrings."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap


def attribute_docs(cls: type) -> dict[str, str]:
    """Attribute to the text under it, in one line; what a class says wins over its bases.

    Reads the source, so a class without one (made at run time) adds nothing.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _own(base)
    return found


def _own(cls: type) -> dict[str, str]:
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):  # built in, or made at run time
        return {}
    tree = ast.parse(textwrap.dedent(source)).body[0]
    if not isinstance(tree, ast.ClassDef):
        return {}
    found = {}
    for one, after in itertools.pairwise(tree.body):
        match one, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                found[name] = " ".join(str(text).split())
    return found
