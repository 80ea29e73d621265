"""The JSON Schemas of spotdeploy.toml and of events.jsonl, for editors and for the docs."""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import textwrap
from collections.abc import Sequence
from functools import reduce
from operator import or_
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from spotdeploy.config.groups import RESERVED
from spotdeploy.config.schema import Config, Matrix, OwnKeys, Table
from spotdeploy.config.secret import PayloadSecret, Secret
from spotdeploy.duration import Duration
from spotdeploy.events import AnyEvent
from spotdeploy.plugins import PluginError, Plugins
from spotdeploy.ports import PortRange

Written = {
    Duration: Annotated[
        str,
        msgspec.Meta(
            title="duration", pattern=r"^(\d+(\.\d+)?(ms|d|h|m|s))+$", examples=["20s", "2m"]
        ),
    ],
    PortRange: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    | Annotated[
        str,
        msgspec.Meta(
            pattern=r"^\d{1,5}(-\d{1,5})?(/(tcp|udp))?$", examples=["4222-4223/udp", "53/udp"]
        ),
    ],
    Secret: Annotated[
        str,
        msgspec.Meta(title="secret", pattern=r"^(env|file):.+$", examples=["env:TOKEN"]),
    ],
    PayloadSecret: Annotated[
        str,
        msgspec.Meta(
            title="secret of the payload",
            pattern=r"^(env|file|command):.+$",
            examples=["env:TOKEN", "file:token.txt", "command:pass show token"],
        ),
    ],
}
"""How our own types are written in TOML."""


def schema_text(known: Plugins, plugins: Sequence[str] = ()) -> str:
    """The schema as indented JSON: the core's keys, the tables of every installed provider that
    can be loaded, and those of every check."""
    schema = build_schema(known, plugins)
    return msgspec.json.format(msgspec.json.encode(schema)).decode()


def build_schema(known: Plugins, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The schema as data."""
    providers = {name: as_written(config) for name, config in _providers(known).items()}
    by_kind = sorted(known.checks(plugins).items())
    checks = {kind: as_written(cls.Settings) for kind, cls in by_kind}
    types: list[Any] = [
        as_written(Config),
        as_written(OwnKeys),
        *providers.values(),
        *checks.values(),
        as_written(Matrix),
    ]
    references, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    top = definitions.pop("Config")
    own = definitions.pop("OwnKeys")["properties"]
    *tables, matrix = references[2:]
    meant = {key: top["properties"][key]["description"] for key in ("provider", "checks")}
    top["properties"]["provider"] = {
        "description": meant["provider"],
        "type": "object",
        "properties": dict(zip(providers, tables, strict=False)),
    }
    top["properties"]["checks"] = {
        "description": meant["checks"],
        "type": "array",
        "items": {"oneOf": list(tables[len(providers) :])},
    }
    top["properties"]["groups"] = {
        "description": top["properties"]["groups"]["description"],
        "type": "object",
        "propertyNames": {
            "pattern": own["after"]["items"]["pattern"],
            "not": {"enum": list(RESERVED)},
        },
        "additionalProperties": {"$ref": "#/$defs/Group"},
    }
    definitions["Group"] = _group(own, top["properties"], definitions["Nodes"]["properties"])
    top["properties"]["matrix"] = matrix
    value = {"type": ["string", "integer", "boolean"]}
    definitions["Matrix"]["additionalProperties"] = {"type": "array", "minItems": 1, "items": value}
    for kind, reference in zip(checks, tables[len(providers) :], strict=True):
        definition = definitions[reference["$ref"].rpartition("/")[2]]
        definition["properties"]["type"] = {"const": kind}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spotdeploy.toml",
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": definitions,
    }


def _group(own: Table, top: Table, nodes: Table) -> Table:
    """`[groups.NAME]`: its own keys, those of `[nodes]`, and tables over those of the config. None
    has a default: what is left out comes from there."""
    tables = {key: _shared_table(top[key], key) for key in ("payload", "provider", "checks")}
    keys = {**own, **nodes, **tables}
    return {
        "title": "Group",
        "description": "`[groups.NAME]`: nodes that are deployed and judged together. It has the "
        "keys of `[nodes]` besides.",
        "type": "object",
        "properties": {
            key: {name: value for name, value in one.items() if name != "default"}
            for key, one in keys.items()
        },
        "additionalProperties": False,
    }


def _shared_table(table: Table, key: str) -> Table:
    over = "instead of" if key == "checks" else "over"
    name = {"payload": "[payload]", "provider": "[provider.NAME]", "checks": "[[checks]]"}[key]
    return {**table, "description": f"For this group, {over} those of `{name}`."}


def events_schema() -> dict[str, Any]:
    """The JSON Schema of one line of events.jsonl."""
    schema = msgspec.json.schema(AnyEvent)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of events.jsonl",
        **schema,
    }


def events_schema_text() -> str:
    """The same as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(events_schema())).decode()


def _providers(known: Plugins) -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for point in known.known():
        try:
            found[point.name] = known.provider(point.name).Config
        except PluginError:
            continue  # no provider, or one that cannot be loaded: 'spotdeploy plugins' says why
    return found


def as_written(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The struct with our own types replaced by the text that stands for them in TOML, and with
    each key's meaning as its description."""
    meanings = attribute_docs(struct)
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(struct):
        written = _described(_written(field.type), meanings.get(field.name))
        fields.append((field.encode_name, written, _default(field)))
    safe = [(_identifier(name), kind, default) for name, kind, default in fields]
    made: type[msgspec.Struct] = msgspec.defstruct(
        struct.__name__,
        safe,
        kw_only=True,
        forbid_unknown_fields=True,
        rename={_identifier(name): name for name, *_ in fields},
        namespace={"__doc__": struct.__doc__},
    )
    return made


def _written(kind: Any) -> Any:
    if kind in Written:
        return Written[kind]
    parts = get_args(kind)
    if get_origin(kind) is Annotated:
        return Annotated[(_written(parts[0]), *parts[1:])]
    if get_origin(kind) is tuple:
        return GenericAlias(tuple, (_written(parts[0]), *parts[1:]))
    if get_origin(kind) is dict:
        return GenericAlias(dict, (parts[0], _written(parts[1])))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        tagged = kind.__struct_config__.tag is not None  # its copy would not be
        return kind if tagged else as_written(kind)
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, map(_written, parts))
    return kind


def _described(kind: Any, meaning: str | None) -> Any:
    return Annotated[kind, msgspec.Meta(description=meaning)] if meaning else kind


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        if isinstance(field.default, msgspec.Struct):
            return msgspec.field(default_factory=type(field.default))
        known = isinstance(field.default, tuple(Written))
        return str(field.default) if known else field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.NODEFAULT


def _identifier(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


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
