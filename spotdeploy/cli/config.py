"""`spotdeploy config`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import tomli_w

from spotdeploy.cli.options import DEFAULT_CONFIG, Config, EvidenceChoice, Json, Keep, Providers
from spotdeploy.cli.tables import json_text
from spotdeploy.config.schema import Settings
from spotdeploy.config.secret import Secret
from spotdeploy.duration import Duration
from spotdeploy.project import Project

DEFAULT: Final = "default"
_COLUMN: Final = 48
"""Where the comments begin that say where a value comes from."""


def command(
    config: Config = DEFAULT_CONFIG,
    provider: Providers = None,
    keep: Keep = None,
    evidence: EvidenceChoice = None,
    json: Json = False,
) -> None:
    """Print the effective configuration and its sources.

    Each value stands with where it comes from: the default, the file, an environment variable
    (SPOTDEPLOY_ and the key in capitals, such as SPOTDEPLOY_NODES_COUNT) or an option. What is
    printed is a config file itself. Secrets are shown as the references that they are.
    """
    project = Project.open(config, providers=provider, keep=keep, evidence=evidence)
    write = _as_json if json else _as_toml
    sys.stdout.write(write(project.settings, effective(project)))


def effective(project: Project) -> dict[str, Any]:
    """Every key of the config with its value, those of the providers in use included, as TOML's
    types. A key that has no value is left out."""
    data: dict[str, Any] = _plain(project.config)
    data["provider"] = {
        name: _plain(project.provider_config(name)[1]) for name in project.providers
    }
    return data


def _plain(value: Any) -> Any:
    """A value as TOML has it."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        values = ((field.encode_name, getattr(value, field.name)) for field in fields)
        return {name: _plain(one) for name, one in values if one is not None}
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Secret):
        return value.reference
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, str) else value


def _as_toml(settings: Settings, data: Mapping[str, Any]) -> str:
    return "".join(_table(data, "", settings.sources)).lstrip("\n")


def _table(table: Mapping[str, Any], path: str, sources: Mapping[str, str]) -> Iterator[str]:
    """The lines of a table: its plain keys first, then the tables inside it."""
    inner = {key: value for key, value in table.items() if _holds_tables(value)}
    if path and (table.keys() - inner.keys() or not inner):
        yield f"\n[{path}]\n"
    for key, value in table.items():
        if key not in inner:
            yield _line(key, value, sources.get(_join(path, key), DEFAULT))
    for key, value in inner.items():
        where = _join(path, key)
        if isinstance(value, dict):
            yield from _table(value, where, sources)
        else:
            for one in value:
                yield f"\n# {sources.get(where, DEFAULT)}\n[[{where}]]\n"
                yield from (f"{_key(name)} = {_inline(item)}\n" for name, item in one.items())


def _holds_tables(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, dict) for one in value)
    return isinstance(value, dict) and bool(value)


def _line(key: str, value: Any, source: str) -> str:
    """A key, its value on one line, and its source behind it."""
    return f"{f'{_key(key)} = {_inline(value)}'.ljust(_COLUMN)}  # {source}\n"


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).partition(" = ")[0]


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_inline(one)}' for key, one in value.items())}}}"
    return tomli_w.dumps({"value": value}).partition(" = ")[2].rstrip("\n")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _as_json(settings: Settings, data: Mapping[str, Any]) -> str:
    whole = {"config": data, "sources": settings.sources}
    return json_text(whole) + "\n"
