"""reference/config.md: every key of spotdeploy.toml, from the schema that `spotdeploy schema`
prints."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distribution
from typing import Final

from docs.generate.shapes import Schema, Shapes
from spotdeploy.cli import init
from spotdeploy.config.json_schema import build_schema
from spotdeploy.plugins import Plugins

HEAD: Final = """\
# Config

Every key of `spotdeploy.toml`, made from the types that read it. A key that is not listed here is
refused, and the nearest one that is gets named. `spotdeploy schema` prints the same as JSON Schema:
save it as `schema.json`, and write `#:schema ./schema.json` into the first line of the config for
editors that complete by it.

- A **duration** is text such as `"90s"`, `"2m"` or `"1h30m"`, in `d`, `h`, `m`, `s` and `ms`.
- A **secret** is a reference, `"env:NAME"` or `"file:PATH"`; one in the clear is refused.
- Paths are relative to the folder of `spotdeploy.toml`; `~` is your home.

The [whole file](#the-whole-file), annotated, is at the end of this page.

## Where it is found

`--config FILE` names it. Otherwise it is `spotdeploy.toml` in the present folder, or else that of
the nearest folder above, as far as the root of the repository (the folder that has `.git`), and
without a repository below your home. One that is found above is named on standard error: `config:
../spotdeploy.toml`. It is used only if it and its folder are yours and nobody else can write to
them: [what a command trusts](../trust.md).

spotdeploy's own files are in `.spotdeploy` beside it, or in the folder that `state` names.
`--deployment NAME` takes another name than the file's, such as one for each branch of a CI.

## Variables

An environment variable stands for each key, above the file and below the options: SPOTDEPLOY_ and
the key's path in capitals, with `__` between its parts and `_` for `-`. `spotdeploy config` shows
where each value comes from.

| variable | key |
|---|---|
| `SPOTDEPLOY_KEEP=never` | `keep` |
| `SPOTDEPLOY_NODES__COUNT=3` | `nodes.count`; SPOTDEPLOY_NODES_COUNT is the same |
| `SPOTDEPLOY_PROVIDER__AWS__REGIONS='["us-west-2"]'` | `provider.aws.regions` |
| `SPOTDEPLOY_GROUPS__BIG_WORKER__COUNT=5` | `groups.big-worker.count`, a group of the file |
| `SPOTDEPLOY_PAYLOAD__ENVIRONMENT__LOG_LEVEL=debug` | `payload.environment.LOG_LEVEL` |
| `SPOTDEPLOY_PAYLOAD__SECRETS__TOKEN=env:TOKEN` | `payload.secrets.TOKEN`, a reference too |
| `SPOTDEPLOY_MATRIX__NODE_JS='[22]'` | `matrix.node-js`, an axis of the file |
| `SPOTDEPLOY_OUTPUTS__API='http://{nodes[0].address}'` | `outputs.api` |

Values are written as in TOML, and text needs no quotes; for a key of a provider, a number that is
meant as text does: `'"123"'`. A variable that is like a key and is none is refused with the
nearest name, and so is every one with `__`. Others that begin with SPOTDEPLOY_ are not looked at.
None stands for all of `provider`, `groups`, `matrix` or `outputs`.
"""
EVERY_CHECK: Final = """
## `[[checks]]`

What must become true of each node; [Checks](../checks.md) tells how each one asks, with examples.
The keys that every check has:

"""
EVERY_GROUP: Final = """
## `[groups.NAME]`

Nodes that differ from each other. Each group is planned, deployed and judged for itself; what it
does not say comes from `[nodes]`, `[payload]`, `[[checks]]` and `[provider.NAME]`. `payload` and
`provider.NAME` are merged by key, and so are `environment` and `secrets`; `checks` stand instead of
the config's. What names an account (credentials, project, subscription, endpoint) is the whole
deployment's, and refused here.

"""
LIST: Final = """
## The whole file

What comes with spotdeploy, and what `spotdeploy init` lays down.

"""
ELSE: Final = ("checks", "provider", "groups")
"""Keys with a section of their own."""
SHARED: Final = ("type", "name", "within", "stable_for", "every")
OURS: Final = frozenset(distribution("spotdeploy").entry_points.names)
ELSEWHERE: Final = ("fake",)
"""Providers that have a page of their own."""


def config_page() -> str:
    """The whole page."""
    return "".join(_Page(build_schema(Plugins())).sections())


class _Page:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._shapes = Shapes(schema)
        self._properties: Schema = schema["properties"]
        self._checks = [
            self._shapes.resolve(one) for one in self._properties["checks"]["items"]["oneOf"]
        ]

    def sections(self) -> Iterator[str]:
        tables = {key: one for key, one in self._properties.items() if "$ref" in one}
        single = [key for key in self._properties if key not in (*tables, *ELSE)]
        yield HEAD
        yield "\n## Top level\n\n" + self._shapes.key_table(self._schema, single)
        for key, table in tables.items():
            yield self._table(f"\n## `[{key}]`\n", self._shapes.resolve(table))
        yield from self._of_checks()
        for name, table in self._properties["provider"]["properties"].items():
            if name in OURS and name not in ELSEWHERE:  # others may be installed here as well
                title = f"\n## `[provider.{name}]`\n"
                yield self._table(title, self._shapes.resolve(table))
        group = self._schema["$defs"]["Group"]
        yield EVERY_GROUP + self._shapes.key_table(group, group["properties"])
        text = (init.source() / init.CONFIG).read_text(encoding="utf-8")
        yield f"{LIST}```toml\n{text.rstrip()}\n```\n"

    def _of_checks(self) -> Iterator[str]:
        common = self._shared()
        yield EVERY_CHECK + self._shapes.key_table(common, SHARED)
        for check in self._checks:
            own = [key for key in check["properties"] if self._own(key, check, common)]
            own.sort(key=lambda key: key in SHARED)  # other defaults of shared keys come last
            title = f'\n### `type = "{check["properties"]["type"]["const"]}"`\n'
            yield self._table(title, check, own)

    def _table(self, title: str, table: Schema, keys: list[str] | None = None) -> str:
        about = table["description"].removeprefix("`").partition("]`: ")
        message = " ".join((about[2] or table["description"]).split())
        text = f"{title}\n{message[0].upper()}{message[1:]}\n"
        rows = list(table["properties"]) if keys is None else keys
        return f"{text}\n{self._shapes.key_table(table, rows)}" if rows else text

    def _shared(self) -> Schema:
        """The keys of every check, as the checks have them that change none of their defaults."""
        plain = next(one for one in self._checks if one["properties"]["type"]["const"] == "tcp")
        kind = {"description": "Which check it is, as below.", "type": "string"}
        return {**plain, "properties": {**plain["properties"], "type": kind}}

    def _own(self, key: str, check: Schema, common: Schema) -> bool:
        same = check["properties"][key] == common["properties"].get(key)
        return key != "type" and (key not in SHARED or not same)
