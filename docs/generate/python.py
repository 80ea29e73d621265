"""reference/python.md: which classes a plugin's author meets. mkdocstrings fills in their
docstrings when the site is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from inspect import isclass, isfunction
from types import ModuleType
from typing import Final

import msgspec

from spotdeploy import (
    check,
    duration,
    errors,
    hookspecs,
    labels,
    model,
    provider,
    testing,
    text,
)
from spotdeploy.config import secret
from spotdeploy.testing.provider_contract import lab

HEAD: Final = """\
# Python

What a plugin is written against, from the docstrings. A docstring of a contract is a promise that
[the contract tests](../writing-a-provider.md#the-contract-tests) hold each plugin to. What is not
listed here is not meant to be imported.
"""
PARTS: Final = (
    ("The contract of a provider", (provider,)),
    ("The contract of a check", (check,)),
    ("Hooks", (hookspecs,)),
    ("The nouns", (model,)),
    ("Errors", (errors,)),
    ("Labels", (labels,)),
    ("Values in a config, and text from nodes", (duration, secret, text)),
)
TESTING: Final = """
## spotdeploy.testing

What tests are written with (`pip install 'spotdeploy[testing]'`). Installing it also installs a
pytest plugin with the fixtures `fake_clock`, `fake_cloud`, `fake_provider` and
`scripted_connection`.
"""


def python_page() -> str:
    """The whole page."""
    return "".join(_sections())


def _sections() -> Iterator[str]:
    yield HEAD
    for title, modules in PARTS:
        yield f"\n## {title}\n"
        for module in modules:
            yield from (_directive(module, name) for name in _own(module))
    yield TESTING
    yield from (_directive(testing, name) for name in dir(testing))
    yield _directive(lab, "LabFixtures")


def _own(module: ModuleType) -> Iterator[str]:
    """The public classes and functions that the module itself defines, in its own order."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", "") == module.__name__
        if own and not name.startswith("_") and (isclass(value) or isfunction(value)):
            yield name


def _directive(module: ModuleType, name: str) -> str:
    """What mkdocstrings fills in. Of plain data, each attribute is one line."""
    one_line = "    options: { separate_signature: false }\n" if _plain(module, name) else ""
    return f"\n::: {module.__name__}.{name}\n{one_line}"


def _plain(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    return isclass(value) and (issubclass(value, (msgspec.Struct, Enum)) or is_dataclass(value))
