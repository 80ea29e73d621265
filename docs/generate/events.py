"""events.md: every event, from its type."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, get_args

import msgspec

from spotdeploy.config.json_schema import attribute_docs
from spotdeploy.events import AnyEvent, Event

HEAD: Final = """\
# Events

Every run writes what happens, as it happens, to `.spotdeploy/runs/<run>/events.jsonl`: one JSON
object a line. `spotdeploy cycle --events -` writes the same lines to standard output, and
`--events FILE` to a file. `spotdeploy schema --events` prints the JSON Schema of one line.

- `event` names the kind. A reader should pass over kinds and keys it does not know.
- `at` is Unix time in seconds, by this computer's clock; lines are in that order.
- A key that has its default is left out.
- `group` is the group of the config; "nodes" where the config names none.
- `node` is the provider's own id; `node-created` and `node-listed` give its name.
- Seconds are seconds, prices are USD per hour, and an unknown price is left out: it is never 0.
- Values of secrets are replaced by `[redacted]`, and text from nodes has no control characters.

The last line of a run that came to its end is `run-ended`. A run that was killed has none.

<!-- made by `make reference` -->
"""


def events_markdown() -> str:
    """The whole page."""
    return HEAD + "".join(_section(kind) for kind in get_args(AnyEvent))


def _section(kind: type[Event]) -> str:
    lines = [f"\n## `{kind.__struct_config__.tag}`\n", f"{inspect.getdoc(kind)}\n", *_keys(kind)]
    for field in msgspec.structs.fields(kind):
        for part in filter(_is_struct, get_args(field.type)):
            about = f"One of `{field.encode_name}`. {inspect.getdoc(part)}"
            lines += ["", about, "", *_keys(part)]
    return "\n".join(lines) + "\n"


def _keys(kind: type[msgspec.Struct]) -> Iterator[str]:
    notes = attribute_docs(kind)
    yield from ("| key | type | default | |", "|---|---|---|---|")
    for field in msgspec.structs.fields(kind):
        if field.name == "at":
            continue
        default = "required" if field.default is msgspec.NODEFAULT else f"`{field.default!r}`"
        note = notes.get(field.name, "")
        yield f"| `{field.encode_name}` | {_type(field.type)} | {default} | {note} |"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _type(kind: Any) -> str:
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if kind in names:
        return names[kind]
    if _is_struct(kind):
        return "objects, as below"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(f"`{one}`" for one in kind)
    parts = [part for part in get_args(kind) if part not in (type(None), Ellipsis)]
    if type(None) in get_args(kind):
        return f"{_type(parts[0])} or null"
    return f"list of {_type(parts[0])}"
