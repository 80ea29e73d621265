"""Templates, as far as they are used: parameters, copies, and four functions.

https://learn.microsoft.com/en-us/azure/azure-resource-manager/templates/template-functions
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.labs.azure.call import ArmError, Json

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?\d+)|(\w+)|([(),]))")


@dataclass(frozen=True)
class Scope:
    """Where a template is deployed."""

    subscription: str
    group: str
    parameters: Mapping[str, Any]


def expand(template: Json, scope: Scope) -> Iterator[Json]:
    """The resources of a template, copies made and expressions evaluated.

    Raises ArmError for what Azure would not take.
    """
    declared = template.get("parameters", {})
    for name in declared.keys() ^ scope.parameters.keys():
        raise invalid(f"the template parameter '{name}' is declared or given, not both")
    for resource in template["resources"]:
        copy = resource.get("copy")
        count = copy["count"] if copy else 1
        for number in range(count):
            body = {key: value for key, value in resource.items() if key != "copy"}
            yield evaluate(body, scope, number if copy else None)


def evaluate(value: Any, scope: Scope, number: int | None) -> Any:
    """A value with its expressions evaluated. `number` is that of the copy, from 0."""
    if isinstance(value, dict):
        return {key: evaluate(inner, scope, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [evaluate(inner, scope, number) for inner in value]
    if isinstance(value, str) and value.startswith("[[") and value.endswith("]"):
        return value[1:]
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return _Expression(value[1:-1], scope, number).value()
    return value


def invalid(words: str) -> ArmError:
    """The refusal of a template."""
    return ArmError(400, "InvalidTemplate", f"Deployment template validation failed: '{words}'.")


class _Expression:
    def __init__(self, text: str, scope: Scope, number: int | None) -> None:
        self._text, self._scope, self._number = text, scope, number
        self._tokens = self._split(text)

    def value(self) -> Any:
        value = self._next()
        if self._tokens:
            raise invalid(f"cannot read the expression '{self._text}'")
        return value

    def _split(self, text: str) -> list[tuple[str, str, str, str]]:
        found, at = [], 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise invalid(f"cannot read the expression '{text}'")
            found.append((match[1], match[2], match[3], match[4]))
            at = match.end()
        return found

    def _next(self) -> Any:
        string, integer, name, _ = self._tokens.pop(0)
        if string is not None:
            return string.replace("''", "'")
        if integer is not None:
            return int(integer)
        arguments = []
        self._expect("(")
        while self._tokens[0][3] != ")":
            arguments.append(self._next())
            if self._tokens[0][3] == ",":
                self._tokens.pop(0)
        self._expect(")")
        return self._call(name, arguments)

    def _expect(self, sign: str) -> None:
        if not self._tokens or self._tokens.pop(0)[3] != sign:
            raise invalid(f"cannot read the expression '{self._text}'")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name == "concat":
            return "".join(str(one) for one in arguments)
        if name == "parameters":
            return self._scope.parameters[arguments[0]]
        if name == "copyIndex" and self._number is not None:
            return self._number + (arguments[0] if arguments else 0)
        if name == "resourceId":
            return resource_id(self._scope, *arguments)
        raise invalid(f"there is no function '{name}' here")


def resource_id(scope: Scope, kind: str, *names: str) -> str:
    """The id of a resource of the group."""
    namespace, *types = kind.split("/")
    path = "/".join(f"{one}/{name}" for one, name in zip(types, names, strict=True))
    group = f"/subscriptions/{scope.subscription}/resourceGroups/{scope.group}"
    return f"{group}/providers/{namespace}/{path}"
