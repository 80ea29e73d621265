"""Requests and answers held against Google's discovery document of Compute Engine v1.

google-api-python-client ships it. Its schemas are JSON Schema of draft 3 in Google's service:
https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
FORMATS = {
    "int64": re.compile(r"-?\d{1,19}"),
    "uint64": re.compile(r"\d{1,20}"),
}


@dataclass(frozen=True)
class Match:
    """A method of the API, and what fills the placeholders of its path."""

    method: Mapping[str, Any]
    names: Mapping[str, str]

    @property
    def id(self) -> str:
        """As in `compute.instances.get`."""
        return str(self.method["id"])


def match(verb: str, path: str) -> Match | None:
    """The method that a path below `/compute/v1/` calls; None when there is none."""
    for pattern, method in _methods().get((verb, path.count("/")), ()):
        if found := pattern.fullmatch(path):
            return Match(method, found.groupdict())
    return None


def request_violations(called: Match, query: Mapping[str, str], body: object | None) -> list[str]:
    """Whatever in a request is not as documented."""
    return [f"{called.id}: {wrong}" for wrong in _request(called, query, body)]


def answer_violations(called: Match, body: object) -> list[str]:
    """Whatever in an answer is not as documented."""
    schema = called.method.get("response", {})
    return [f"{called.id} answers {wrong}" for wrong in _value(schema, body, "", writing=False)]


@cache
def document() -> Mapping[str, Any]:
    """The whole document."""
    folder = files("googleapiclient.discovery_cache") / "documents"
    read: Mapping[str, Any] = json.loads((folder / "compute.v1.json").read_text("utf-8"))
    return read


def enumeration(schema: str, field: str) -> list[str]:
    """The words that a field may have."""
    return list(document()["schemas"][schema]["properties"][field]["enum"])


@cache
def _methods() -> dict[tuple[str, int], list[tuple[re.Pattern[str], Mapping[str, Any]]]]:
    found: dict[tuple[str, int], list[tuple[re.Pattern[str], Mapping[str, Any]]]] = {}
    for method in _walk(document()["resources"]):
        path = method.get("flatPath", method["path"])
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
        found.setdefault((method["httpMethod"], path.count("/")), []).append((pattern, method))
    return found


def _walk(resources: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from _walk(resource.get("resources", {}))


def _request(called: Match, query: Mapping[str, str], body: object | None) -> Iterator[str]:
    parameters = called.method.get("parameters", {})
    known = {**document()["parameters"], **parameters}
    for name, value in {**called.names, **query}.items():
        if name not in known:
            yield f"there is no parameter {name!r}"
        else:
            yield from _parameter(known[name], name, value)
    given = {*called.names, *query}
    yield from (
        f"parameter {name!r} is missing"
        for name, spec in parameters.items()
        if spec.get("required") and name not in given
    )
    wanted = called.method.get("request")
    if wanted is None and body is not None:
        yield "has a body, and takes none"
    if wanted is not None:
        yield from _value(wanted, body, "", writing=True)


def _parameter(spec: Mapping[str, Any], name: str, value: str) -> Iterator[str]:
    if "pattern" in spec and not re.fullmatch(spec["pattern"], value):
        yield f"parameter {name} is {value!r}, which is not like {spec['pattern']}"
    if "enum" in spec and value not in spec["enum"]:
        yield f"parameter {name} is {value!r}, which is none of {spec['enum']}"
    if spec["type"] == "boolean" and value not in ("true", "false"):
        yield f"parameter {name} is {value!r} and no boolean"
    if spec["type"] == "integer":
        low, high = int(spec.get("minimum", 0)), int(spec.get("maximum", 2**63))
        if not value.isdigit() or not low <= int(value) <= high:
            yield f"parameter {name} is {value!r}, which is no number from {low} to {high}"


def _value(schema: Mapping[str, Any], value: object, path: str, *, writing: bool) -> Iterator[str]:
    if "$ref" in schema:
        schema = document()["schemas"][schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any":
        return
    wrong_bool = isinstance(value, bool) and kind != "boolean"
    if wrong_bool or not isinstance(value, TYPES[kind]):
        yield f"{path or 'the body'} is {type(value).__name__} and not {kind}"
    elif isinstance(value, dict):
        yield from _object(schema, value, path, writing=writing)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(schema["items"], item, f"{path}[{index}]", writing=writing)
    elif isinstance(value, str):
        yield from _text(schema, value, path)


def _object(
    schema: Mapping[str, Any], value: Mapping[str, Any], path: str, *, writing: bool
) -> Iterator[str]:
    known = schema.get("properties", {})
    more = schema.get("additionalProperties")
    for key, inner in value.items():
        where = f"{path}.{key}" if path else key
        if key in known:
            if writing and known[key].get("readOnly"):
                yield f"{where} is given, and only Google gives it"
            yield from _value(known[key], inner, where, writing=writing)
        elif more is not None:
            yield from _value(more, inner, where, writing=writing)
        else:
            yield f"{where} is unknown"


def _text(schema: Mapping[str, Any], value: str, path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, which is none of {schema['enum']}"
    pattern = FORMATS.get(schema.get("format", ""))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{path} is {value!r} and no {schema['format']}"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield f"{path} is {value!r}, which is not like {schema['pattern']}"
