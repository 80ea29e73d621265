"""`spotdeploy config`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import tomli_w

from spotdeploy.cli.options import (
    DEFAULT_CONFIG,
    Config,
    Deployment,
    EvidenceChoice,
    Json,
    Keep,
    Providers,
)
from spotdeploy.cli.tables import json_text
from spotdeploy.config.secret import Secret
from spotdeploy.duration import Duration
from spotdeploy.project import Project

DEFAULT: Final = "default"
_COLUMN: Final = 48
"""Where the comments begin that say where a value comes from."""


def command(
    config: Config = DEFAULT_CONFIG,
    deployment: Deployment = None,
    provider: Providers = None,
    keep: Keep = None,
    evidence: EvidenceChoice = None,
    json: Json = False,
) -> None:
    """Print the effective configuration and its sources.

    Each value stands with where it comes from: the default, the file, an environment variable
    (SPOTDEPLOY_ and the key in capitals, such as SPOTDEPLOY_NODES__COUNT) or an option. What is
    printed is a config file itself. Secrets are shown as the references that they are.
    """
    project = Project.open(
        config, deployment=deployment, providers=provider, keep=keep, evidence=evidence
    )
    write = _as_json if json else _as_toml
    sys.stdout.write(write(sources(project), effective(project)))


def effective(project: Project) -> dict[str, Any]:
    """Every key of the config with its value, those of the providers in use and of each group
    included, as TOML's types. A key that has no value is left out."""
    data: dict[str, Any] = _plain(project.config)
    data["provider"] = {
        name: _plain(project.provider_config(name)[1]) for name in project.providers
    }
    named = project.groups if project.config.groups else {}
    data["groups"] = {name: _of_group(name, group) for name, group in named.items()}
    return data


def sources(project: Project) -> dict[str, str]:
    """For each key that was given, by its path: where its value comes from. What a group does not
    say itself has the source of what it takes over."""
    settings = project.settings
    found = {key: one for key, one in settings.sources.items() if not key.startswith("groups.")}
    for name in project.config.groups:
        keys = settings.groups[name].keys
        for path in _paths(_of_group(name, project.groups[name])):
            own = path.rpartition(".")[2] if path.startswith("provider.") else path
            base = path if path.startswith(("payload.", "provider.", "checks")) else f"nodes.{path}"
            given = path in keys or (own in ("image", "sizes") and own in keys)
            source = settings.sources.get(f"groups.{name}.{path}", project.path.name)
            source = source if given else _source(settings.sources, base)
            if source != DEFAULT:
                found[f"groups.{name}.{path}"] = source
    return found


def _of_group(name: str, group: Project) -> dict[str, Any]:
    """The keys of `[groups.NAME]`. What no group may say of a provider is left out."""
    said, config = group.settings.groups[name], group.config
    own = {"after": said.after, "image": said.image, "sizes": said.sizes}
    data: dict[str, Any] = {
        **{key: _plain(value) for key, value in own.items() if value},
        **_plain(config.nodes),
        "payload": _plain(config.payload),
        "checks": _plain(config.checks),
        "provider": {},
    }
    for provider in group.providers:
        values = group.provider_config(provider)[1]
        kept = type(values).of_account
        table = {key: value for key, value in _plain(values).items() if key not in kept}
        data["provider"][provider] = table
    return data


def _paths(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _source(known: Mapping[str, str], path: str) -> str:
    """Where a key's value comes from: its own source, or that of the table that was given whole."""
    while path and path not in known:
        path = path.rpartition(".")[0]
    return known.get(path, DEFAULT)


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


def _as_toml(known: Mapping[str, str], data: Mapping[str, Any]) -> str:
    return "".join(_table(data, "", known)).lstrip("\n")


def _table(
    table: Mapping[str, Any], path: str, known: Mapping[str, str], *, header: str = ""
) -> Iterator[str]:
    """The lines of a table: its plain keys first, then the tables inside it. `header` is its first
    line, when that is not the path in brackets."""
    inner = {key: value for key, value in table.items() if _holds_tables(value)}
    if path and (header or table.keys() - inner.keys() or not inner):
        yield f"\n{header or f'[{path}]'}\n"
    for key, value in table.items():
        if key not in inner:
            yield _line(key, value, _source(known, _join(path, key)))
    for key, value in inner.items():
        where = _join(path, key)
        if isinstance(value, dict):
            yield from _table(value, where, known)
        else:
            for one in value:
                yield from _table(one, where, known, header=f"[[{where}]]")


def _holds_tables(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, dict) for one in value)
    return isinstance(value, dict) and bool(value)


def _line(key: str, value: Any, source: str) -> str:
    """A key, its value on one line, and its source behind it."""
    name = tomli_w.dumps({key: 0}).partition(" = ")[0]
    return f"{f'{name} = {_inline(value)}'.ljust(_COLUMN)}  # {source}\n"


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if value == {}:
        return "{}"
    return tomli_w.dumps({"value": value}).partition(" = ")[2].rstrip("\n")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _as_json(known: Mapping[str, str], data: Mapping[str, Any]) -> str:
    whole = {"config": data, "sources": known}
    return json_text(whole) + "\n"
