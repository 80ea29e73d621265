"""reference/python.md: the classes and functions that may be imported, from their docstrings."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any, Final

import msgspec

from spotdeploy import (
    api,
    check,
    duration,
    errors,
    events,
    hookspecs,
    labels,
    model,
    ports,
    project,
    provider,
    refusals,
    testing,
    text,
)
from spotdeploy.config import secret
from spotdeploy.config.json_schema import attribute_docs
from spotdeploy.matrix import project as matrix_project
from spotdeploy.matrix import run as matrix_run
from spotdeploy.node import paths
from spotdeploy.run import verdict
from spotdeploy.testing.provider_contract import lab

HEAD: Final = """\
# Python

What a program or a plugin is written against, from the docstrings. A docstring of a contract is a
promise that [the contract tests](../writing-a-provider.md#the-contract-tests) hold each plugin to.
What is not listed here is not meant to be imported.
"""
USE: Final = """
## Running cycles from Python

```python
import asyncio

from spotdeploy.api import Project, Verdict


async def main() -> None:
    project = Project.open("spotdeploy.toml", providers=["local"])
    outcome = await project.cycle()
    if outcome.verdict is Verdict.PASSED:
        async with project.connect("demo-1") as connection:
            print((await connection.run(["uptime"])).stdout)
    await project.destroy()


asyncio.run(main())
```

In pytest, the fixture `spotdeploy_nodes` does the same for a whole session of tests. It comes with
spotdeploy, and takes the options `--spotdeploy-config` and `--spotdeploy-provider`:

```python
def test_every_node_has_its_service(spotdeploy_nodes):
    for one in spotdeploy_nodes:
        assert one.run(["systemctl", "is-active", "web"]).stdout == "active\\n"
```
"""
RUNNING: Final[tuple[type, ...]] = (
    api.Project,
    project.Project,
    verdict.Outcome,
    verdict.NodeOutcome,
    verdict.CheckOutcome,
    verdict.Receipt,
    testing.VerifiedNode,
    events.Observer,
)
EVENTS: Final = """
What an observer is given is one of these classes of `spotdeploy.events`, whose fields are in
[Events](../events.md):
"""
TESTING: Final = """
## Testing plugins

What the tests of a plugin are written with (`pip install 'spotdeploy[testing]'`). Installing it
also installs a pytest plugin with the fixtures `fake_clock`, `fake_cloud`, `fake_provider` and
`scripted_connection`.
"""
PARTS: Final = (
    ("Running a matrix", (matrix_project, matrix_run)),
    ("The contract of a provider", (provider,)),
    ("The contract of a check", (check,)),
    ("Hooks", (hookspecs,)),
    ("The nouns", (model, ports)),
    ("Errors", (errors, refusals)),
    ("Labels", (labels,)),
    ("Where things are on a node", (paths,)),
    ("Values in a config, and text from nodes", (duration, secret, text)),
)
SECTION: Final = re.compile(r"^(Raises|Returns):\n((?:    .*\n?|\n)+)", re.MULTILINE)
QUOTED: Final = re.compile(r"(: |-> )'([^']*)'")
ITEM: Final = re.compile(r"^    (\w+): ", re.MULTILINE)


def python_page() -> str:
    """The whole page."""
    return re.sub(r"\n{3,}", "\n\n", "".join(_sections()))


def _sections() -> Iterator[str]:
    yield HEAD
    yield USE
    for thing in RUNNING:
        yield from _class(thing)
    names = (cls.__name__ for cls in events.Event.__subclasses__())
    yield EVENTS + ", ".join(f"`{name}`" for name in names) + ".\n"
    for title, modules in PARTS:
        yield f"\n## {title}\n"
        for module in modules:
            yield from _module(module)
    yield TESTING
    for name in dir(testing):
        if name != "VerifiedNode":
            yield from _class(getattr(testing, name), f"spotdeploy.testing.{name}")
    yield from _class(lab.LabFixtures)


def _module(module: ModuleType) -> Iterator[str]:
    """The public constants that the module itself defines, then its classes and functions, each in
    its own order."""
    rows = list(_constants(module))
    if rows:
        yield "\n| constant | value | |\n|---|---|---|\n" + "".join(rows)
    for name, value in vars(module).items():
        own = getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
        if own and inspect.isclass(value):
            yield from _class(value)
        elif own and isinstance(value, FunctionType):
            yield from _function(value, f"{module.__name__}.{name}", 3)


def _constants(module: ModuleType) -> Iterator[str]:
    body = ast.parse(inspect.getsource(module)).body
    for one, after in itertools.pairwise([*body, ast.Pass()]):
        doc = ""
        match after:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                doc = " ".join(text.split())
        match one:
            case ast.AnnAssign(target=ast.Name(id=name)) if name.isupper():
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) if doc:
                pass
            case _:
                continue
        if not name.startswith("_"):
            value = getattr(module, name)
            plain = isinstance(value, str | int | float | re.Pattern)
            shown = repr(value).replace("|", "\\|") if plain else type(value).__name__
            yield f"| `{module.__name__}.{name}` | `{shown}` | {doc} |\n"


def _class(cls: type, path: str = "") -> Iterator[str]:
    path = path or f"{cls.__module__}.{cls.__qualname__}"
    bases = [base.__name__ for base in cls.__bases__ if base.__name__ not in _PLAIN]
    of = f", a kind of `{'`, `'.join(bases)}`" if bases else ""
    yield f'\n<a id="{path}"></a>\n\n### `{path}`\n\n'
    yield f"Class{of}. {_doc(cls)}\n"
    if issubclass(cls, Exception):
        yield f"\n```python\ndef __init__{_signature(cls)}: ...\n```\n"
    yield _table(cls)
    for name, value in vars(cls).items():
        kind = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        kind = getattr(kind, "_fixture_function", kind)  # of pytest
        if name.startswith(("_", "test_")) or not _is_own(kind, cls):
            continue
        if isinstance(kind, property):
            yield f"\n- **`{name}`**: {' '.join(_doc(kind).split())}\n"
        elif isinstance(kind, FunctionType):
            yield from _function(kind, f"{path}.{name}", 4)


_PLAIN: Final = ("object", "Struct", "ABC", "Generic", "Protocol", "Event")


def _is_own(value: object, cls: type) -> bool:
    made_elsewhere = is_dataclass(cls) and getattr(value, "__doc__", None) is None
    return isinstance(value, property | FunctionType) and not made_elsewhere


def _function(function: FunctionType, path: str, level: int) -> Iterator[str]:
    name = path.rpartition(".")[2]
    lead = "async " if inspect.iscoroutinefunction(function) else ""
    yield f'\n<a id="{path}"></a>\n\n{"#" * level} `{path if level == 3 else name}`\n\n'
    yield f"```python\n{lead}def {name}{_signature(function)}: ...\n```\n\n{_doc(function)}\n"


def _signature(function: FunctionType | type) -> str:
    signature = inspect.signature(function)
    if isinstance(function, type):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    shown = [one for name, one in signature.parameters.items() if name not in ("self", "cls")]
    shown_as = str(signature.replace(parameters=shown))
    return QUOTED.sub(r"\1\2", shown_as)  # annotations are kept as text


def _doc(thing: Any) -> str:
    """A docstring as Markdown: what it raises and returns as lists."""
    return SECTION.sub(_listed, f"{inspect.getdoc(thing) or ''}\n").strip()


def _listed(section: re.Match[str]) -> str:
    items = ITEM.sub(r"- `\1`: ", section[2])
    return f"{section[1]}:\n\n{items}"


def _table(cls: type) -> str:
    """The fields of plain data, or the members of an enumeration."""
    if issubclass(cls, Enum):
        return "\n" + "".join(f"- `{one.name}`: `{one.value!r}`\n" for one in cls)
    rows = list(_fields(cls))
    if not rows:
        return ""
    return "\n| field | type | default | |\n|---|---|---|---|\n" + "".join(rows)


def _fields(cls: type) -> Iterator[str]:
    docs = attribute_docs(cls)
    types = {name: kind for base in reversed(cls.__mro__) for name, kind in _own_types(base)}
    defaults: dict[str, object]
    none: object = MISSING
    if issubclass(cls, msgspec.Struct):
        defaults = {one.name: one.default for one in msgspec.structs.fields(cls)}
        none = msgspec.NODEFAULT
    elif is_dataclass(cls):
        defaults = {one.name: one.default for one in fields(cls)}
    else:
        defaults = {name: MISSING for name in types if name in vars(cls).get("__annotations__", {})}
    for name, default in defaults.items():
        if name.startswith("_"):
            continue
        shown = "" if default is none else f"`{default!r}`"
        kind = str(types.get(name, "")).replace("|", "\\|")
        yield f"| `{name}` | `{kind}` | {shown} | {docs.get(name, '')} |\n"


def _own_types(cls: type) -> Iterator[tuple[str, str]]:
    for name, kind in vars(cls).get("__annotations__", {}).items():
        yield name, kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
