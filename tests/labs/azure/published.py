"""Azure's operations and models as Microsoft publishes them in its own client libraries.

Every request and every answer is checked against these: unknown keys, wrong types, unknown values
of enumerations, missing keys, and read-only keys in requests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from inspect import getsource
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

PACKAGES = (
    "azure.mgmt.compute",
    "azure.mgmt.network",
    "azure.mgmt.resource.resources",
    "azure.mgmt.resource.deployments",
)
OPEN = ("VirtualMachineSizeTypes",)
"""Enumerations that Microsoft no longer completes: sizes are listed by another operation."""
DEVTESTLABS = "azure.mgmt.devtestlabs.models"
_BUILDER = re.compile(
    r"^def build_(\w+)_request\((.*?)(?=^(?:def|class) |\Z)", re.DOTALL | re.MULTILINE
)
_VERSION = re.compile(r'"api-version", "([^"]+)"')
_URL = re.compile(r'_url = \(?\s*"([^"]+)"')
_VERB = re.compile(r'method="(\w+)"')
_QUERY = re.compile(r'_params\["([^"]+)"\]')
_DEFAULT_VERSION = re.compile(r'"api_version", "([^"]+)"')


@dataclass(frozen=True)
class Published:
    """An operation of a client library."""

    verb: str
    path: str
    version: str
    query: frozenset[str]


@cache
def operations() -> dict[tuple[str, str], Published]:
    """Every operation, by verb and path: lower case, with `{}` for each placeholder."""
    found = {}
    for package in PACKAGES:
        source = getsource(import_module(f"{package}.operations._operations"))
        client = getsource(import_module(f"{package}._configuration"))
        default = _DEFAULT_VERSION.search(client)
        for match in _BUILDER.finditer(source):
            text = match[2]
            url, verb, version = _URL.search(text), _VERB.search(text), _VERSION.search(text)
            number = version or default
            if url and verb and number:
                path = re.sub(r"{\w+}", "{}", url[1]).lower()
                query = frozenset(_QUERY.findall(text))
                found[verb[1], path] = Published(verb[1], path, number[1], query)
    return found


def version_of(kind: str) -> str | None:
    """The version in which a client library makes resources of this type; None if none does."""
    if kind.lower() == "microsoft.devtestlab/schedules":
        source = getsource(import_module("azure.mgmt.devtestlabs._configuration"))
        found = _DEFAULT_VERSION.search(source)
        return found[1] if found else None
    path = f"/subscriptions/{{}}/resourcegroups/{{}}/providers/{kind}/{{}}".lower()
    published = operations().get(("PUT", path))
    return published.version if published else None


def violations(model: str, data: Any, *, request: bool) -> list[str]:
    """What is not as published in the data of a model such as `azure.mgmt.compute:VirtualMachine`.

    `request` True also refuses what only answers have.
    """
    package, _, name = model.partition(":")
    if package == DEVTESTLABS:
        return list(_classic(import_module(package), name, data, name))
    models = import_module(f"{package}.models")
    return list(_check(models, getattr(models, name), data, name, request))


def _check(models: ModuleType, hint: Any, data: Any, where: str, request: bool) -> Iterator[str]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in (Union, UnionType):
        yield from _check_union(models, arguments, data, where, request)
    elif origin is Literal:
        if data not in arguments:
            yield f"{where}: {data!r} is not {arguments}"
    elif origin is list:
        if not isinstance(data, list):
            yield f"{where}: not a list: {data!r}"
            return
        for number, item in enumerate(data):
            yield from _check(models, arguments[0], item, f"{where}[{number}]", request)
    elif origin is dict:
        if not isinstance(data, dict):
            yield f"{where}: not an object: {data!r}"
            return
        for key, value in data.items():
            yield from _check(models, arguments[1], value, f"{where}.{key}", request)
    elif hasattr(hint, "_attr_to_rest_field") or hasattr(hint, "_is_model"):
        yield from _check_model(models, hint, data, where, request)
    elif not _is_plain(hint, data):
        yield f"{where}: {data!r} is not {hint}"


def _check_union(
    models: ModuleType, choices: tuple[Any, ...], data: Any, where: str, request: bool
) -> Iterator[str]:
    if data is None and type(None) in choices:
        return
    for choice in choices:
        if isinstance(choice, type) and issubclass(choice, enum.Enum):
            if choice.__name__ in OPEN:
                return
            if str(data).lower() not in {str(one.value).lower() for one in choice}:
                yield f"{where}: {data!r} is not one of {[one.value for one in choice]}"
            return
    inner = [choice for choice in choices if choice is not type(None)]
    problems = [list(_check(models, choice, data, where, request)) for choice in inner]
    yield from min(problems, key=len)


def _check_model(
    models: ModuleType, model: Any, data: Any, where: str, request: bool
) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"{where}: not an object: {data!r}"
        return
    known = _fields(models, model)
    for key, value in data.items():
        if key not in known:
            yield f"{where}: {model.__name__} has no {key!r}"
            continue
        hint, read_only = known[key]
        if request and read_only:
            yield f"{where}.{key}: is read-only"
        yield from _check(models, hint, value, f"{where}.{key}", request)
    for key, (hint, read_only) in known.items():
        optional = type(None) in get_args(hint) or hint is Any
        if key not in data and not optional and not (request and read_only):
            yield f"{where}: {key!r} is missing"


@cache
def _fields(models: ModuleType, model: Any) -> dict[str, tuple[Any, bool]]:
    """Name on the wire to type, and whether it is read-only."""
    model.__new__(model)
    module = import_module(model.__module__)
    hints = get_type_hints(model, {**vars(module), "_models": models})
    found = {}
    for name, field in model._attr_to_rest_field.items():
        read_only = field._visibility == ["read"]
        found[field._rest_name] = (hints[name], read_only)
    return found


def _is_plain(hint: Any, data: Any) -> bool:
    if hint is datetime:
        try:
            datetime.fromisoformat(data)
        except (TypeError, ValueError):
            return False
        return True
    if hint in (int, float):
        return isinstance(data, int if hint is int else int | float) and not isinstance(data, bool)
    return isinstance(data, hint)


def _classic(models: ModuleType, name: str, data: Any, where: str) -> Iterator[str]:
    """The same for a model of the older kind, whose map has paths such as `properties.status`."""
    if name in ("str", "{str}", "bool", "int", "iso-8601"):
        if name == "str" and not isinstance(data, str):
            yield f"{where}: {data!r} is not a string"
        return
    model = getattr(models, name)
    known: Mapping[str, Any] = {one["key"]: one["type"] for one in model._attribute_map.values()}
    read_only = {key for key, rule in model._validation.items() if rule.get("readonly")}
    locked = {model._attribute_map[key]["key"] for key in read_only}
    flat = {key: value for key, value in data.items() if key != "properties"}
    flat |= {f"properties.{key}": value for key, value in data.get("properties", {}).items()}
    for key, value in flat.items():
        if key not in known:
            yield f"{where}: {name} has no {key!r}"
        elif key in locked:
            yield f"{where}.{key}: is read-only"
        else:
            yield from _classic(models, known[key], value, f"{where}.{key}")
