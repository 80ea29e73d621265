"""A property of a JSON Schema in the words of a reader of TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
HEAD: Final = "| key | type | default | meaning |\n|---|---|---|---|\n"
PLAIN: Final = {"boolean": "true or false", "object": "table", "string": "text"}
PLURAL: Final = re.compile(r"^(integer|number|table)")


class Shapes:
    """The definitions that properties refer to."""

    def __init__(self, schema: Schema) -> None:
        """`schema` is the whole of it, with its `$defs`."""
        self._definitions = schema["$defs"]

    def resolve(self, schema: Schema) -> Schema:
        """The schema itself, or the definition that it refers to, with what stands beside."""
        if "$ref" not in schema:
            return schema
        found: Schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        return {**found, **schema}

    def key_table(self, definition: Schema, keys: Iterable[str]) -> str:
        """A table with a row for each of these keys of a definition."""
        required = definition.get("required", ())
        properties = definition["properties"]
        rows = (self._row(key, properties[key], required=key in required) for key in keys)
        return HEAD + "".join(rows)

    def kind(self, schema: Schema) -> str:
        """What may be written, with its limits: "integer, 1 to 65535"."""
        schema = self.resolve(schema)
        if "const" in schema:
            return code(schema["const"])
        if "enum" in schema:
            return " or ".join(code(value) for value in schema["enum"])
        if "anyOf" in schema:
            kinds = (self.kind(one) for one in schema["anyOf"] if one.get("type") != "null")
            return " or ".join(kinds)
        if "oneOf" in schema:
            return PLAIN["object"]
        if schema.get("title") in ("duration", "secret"):
            return str(schema["title"])
        if schema.get("type") == "array":
            least = ", at least one" if schema.get("minItems") == 1 else ""
            items = PLURAL.sub(r"\1s", self.kind(schema["items"]))
            return f"list of {items}{least}"
        if isinstance(inner := schema.get("additionalProperties"), Mapping) and inner:
            return f"table of {self.kind(inner)}"
        name = str(schema.get("type", "any value"))
        return PLAIN.get(name, name) + _limits(schema)

    def _row(self, key: str, schema: Schema, *, required: bool) -> str:
        meaning = f"{schema.get('description', '')}{_form(schema)}".strip()
        cells = (f"`{key}`", self.kind(schema), _default(schema, required=required), meaning)
        return f"| {' | '.join(cells)} |\n"


def code(value: object) -> str:
    """A value as it is written in TOML (which is JSON's way for all that is a default here)."""
    return f"`{json.dumps(value)}`"


def _default(schema: Schema, *, required: bool) -> str:
    if required:
        return "required"
    if "default" not in schema:
        return ""
    return "none" if schema["default"] is None else code(schema["default"])


def _limits(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    if low is not None and high is not None:
        return f", {low} to {high}"
    return f", at least {low}" if low is not None else ""


def _form(schema: Schema) -> str:
    """The expression that text must match, where there is one."""
    found = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
    form = next((one["pattern"] for one in found if "pattern" in one and "title" not in one), "")
    whose = "Each must" if "items" in schema else "Must"
    escaped = form.replace("|", "\\|")
    return f" {whose} match `{escaped}`." if form else ""
