"""Checking requests against botocore's service models, down to names and types.

AWS refuses parameters it does not know; moto ignores them. The rules for names on the wire are
those of the `ec2` protocol: https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

TRUTH: Final = ("true", "false")


def violations(parameters: Mapping[str, str], service: str = "ec2") -> list[str]:
    """What is wrong with a request, as flat parameters; empty when nothing is."""
    action = parameters.get("Action", "")
    model = service_model(service)
    if action not in model.operation_names:
        return [f"no such action: {action!r}"]
    if parameters.get("Version") != model.api_version:
        return [f"Version is {parameters.get('Version')!r}, not {model.api_version}"]
    given = {k: v for k, v in parameters.items() if k not in ("Action", "Version")}
    shape = model.operation_model(action).input_shape
    if shape is None:
        return [f"{action} takes no parameters"] if given else []
    return _structure(_nest(given), shape, action)


def document_violations(target: str, document: Mapping[str, Any], service: str) -> list[str]:
    """What is wrong with a request to a service that speaks JSON; empty when nothing is. `target`
    is the header: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html"""
    from botocore.validate import ParamValidator

    model = service_model(service)
    prefix, _, action = target.partition(".")
    if prefix != model.metadata["targetPrefix"] or action not in model.operation_names:
        return [f"no such target of {service}: {target!r}"]
    shape = model.operation_model(action).input_shape
    return str(ParamValidator().validate(document, shape).generate_report()).splitlines()


@cache
def service_model(service: str = "ec2") -> Any:
    """botocore's model of a service, by botocore's name for it."""
    from botocore.session import Session

    return Session().get_service_model(service)


def _nest(flat: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        at = tree
        for step in path:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                return {name: "both a value and a structure"}
        at[last] = value
    return tree


def _check(value: Any, shape: Any, path: str) -> list[str]:
    if shape.type_name == "structure":
        return (
            _structure(value, shape, path) if isinstance(value, dict) else [f"{path}: no structure"]
        )
    if shape.type_name == "list":
        return _list(value, shape, path)
    if isinstance(value, dict):
        return [f"{path}: a {shape.type_name} has no members"]
    return _scalar(value, shape, path)


def _structure(tree: dict[str, Any], shape: Any, path: str) -> list[str]:
    members = {_wire_name(name, member): member for name, member in shape.members.items()}
    required = {_wire_name(name, shape.members[name]) for name in shape.required_members}
    found = [f"{path}.{name}: missing" for name in sorted(required - tree.keys())]
    for name, value in tree.items():
        if name in members:
            found += _check(value, members[name], f"{path}.{name}")
        else:
            found.append(f"{path}.{name}: unknown; known are {', '.join(sorted(members))}")
    return found


def _list(value: Any, shape: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: a list needs .1, .2 and so on"]
    if sorted(value, key=lambda key: (len(key), key)) != [str(n + 1) for n in range(len(value))]:
        return [f"{path}: members must be numbered from 1: {sorted(value)}"]
    return [
        wrong
        for number, member in value.items()
        for wrong in _check(member, shape.member, f"{path}.{number}")
    ]


def _scalar(value: str, shape: Any, path: str) -> list[str]:
    kind = shape.type_name
    rules: dict[str, Callable[[], bool]] = {
        "boolean": lambda: value in TRUTH,
        "integer": lambda: bool(re.fullmatch(r"-?\d+", value)),
        "long": lambda: bool(re.fullmatch(r"-?\d+", value)),
        "double": lambda: bool(re.fullmatch(r"-?\d+(\.\d+)?", value)),
        "float": lambda: bool(re.fullmatch(r"-?\d+(\.\d+)?", value)),
        "blob": lambda: _is_base64(value),
        "timestamp": lambda: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value)),
        "string": lambda: not (allowed := getattr(shape, "enum", None)) or value in allowed,
    }
    found = [] if rules[kind]() else [f"{path}: {value[:80]!r} is no {kind} of {shape.name}"]
    limits = shape.metadata
    size = int(value) if kind in ("integer", "long") and not found else len(value)
    if size < limits.get("min", size) or size > limits.get("max", size):
        found.append(f"{path}: {value[:80]!r} is not within {limits}")
    return found


def _wire_name(name: str, shape: Any) -> str:
    serialization = shape.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    wire = str(serialization.get("name", name))
    return wire[0].upper() + wire[1:]


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True
