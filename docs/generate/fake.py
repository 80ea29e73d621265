"""reference/fake.md: the fake cloud, and what can go wrong in it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final, get_args

import msgspec

from docs.generate.shapes import Shapes, code
from spotdeploy.config.json_schema import attribute_docs, build_schema
from spotdeploy.plugins import Plugins
from spotdeploy.testing.fake.faults import AnyFault, Fault

HEAD: Final = """\
# The fake cloud

A provider without a cloud, for tests: `--provider fake`, or
[`spotdeploy.testing.FakeProvider`](python.md#testing-plugins). It keeps machines in a file or in
memory, lists, destroys and interrupts them as a cloud would, and goes wrong as it is told. Nothing
answers on a fake machine's ports, so a cycle with it ends in phase boot.

## `[provider.fake]`

"""
FAULTS: Final = """
## Faults

A fault counts the calls that match it. It hits from the `at`-th of them on, `times` times; 0 is
always. In TOML:

```toml
[[provider.fake.faults]]
kind = "partial-fill"
give = 2
```

In Python, the class of the same name in `spotdeploy.testing.fake.faults`:
`fake_cloud.script(PartialFill(give=2))`.

| kind | what happens | its own keys |
|---|---|---|
"""
KEYS: Final = """
Every fault has `at` (1) and `times` (1, or 0 where the table says "every time" or "always"). Those
that hit calls have `call`: `any` or the name of a method. Those that hit places have `location`,
`zone`, `size` and `market`; what is left out matches every place. Times are in seconds.
"""
COMMON: Final = {"at", "times", "call", "location", "zone", "size", "market"}


def fake_page() -> str:
    """The whole page."""
    schema = build_schema(Plugins())
    table = schema["$defs"]["FakeConfig"]
    keys = Shapes(schema).key_table(table, [key for key in table["properties"] if key != "faults"])
    return HEAD + keys + FAULTS + "".join(_rows()) + KEYS


def _rows() -> Iterator[str]:
    for kind in get_args(AnyFault):
        message = " ".join((inspect.getdoc(kind) or "").split())
        yield f"| `{kind.__struct_config__.tag}` | {message} | {_own(kind)} |\n"


def _own(kind: type[Fault]) -> str:
    docs = attribute_docs(kind)
    fields = [one for one in msgspec.structs.fields(kind) if one.name not in COMMON]
    reported = []
    for field in fields:
        plain = "" if field.default is None else f" ({code(field.default)})"
        note = f": {docs[field.name]}" if field.name in docs else ""
        reported.append(f"`{field.encode_name}`{plain}{note}")
    return "; ".join(reported)
