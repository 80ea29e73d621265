"""The JSON Schema of the config."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from spotdeploy.config.json_schema import build_schema, schema_text
from spotdeploy.plugins import Plugins


def test_the_reference_config_is_valid_by_the_schema(repository: Path) -> None:
    schema = build_schema(Plugins())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads((repository / "spotdeploy.toml").read_text()), schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deployment": "a", "nodes": {"cuont": 1}},
        {"deployment": "a", "timeouts": {"boot": "soon"}},
        {"deployment": "a", "nodes": {"open_between": "some"}},
        {"deployment": "a", "nodes": {"open_between": ["80/sctp"]}},
        {"deployment": "a", "nodes": {"open_between": [0]}},
        {"deployment": "a", "before": {"commands": "pytest"}},
        {"deployment": "a", "before": {"commands": [{"timeout": "5m"}]}},
        {"deployment": "a", "before": {"commands": [{"run": "a", "timeout": "soon"}]}},
        {"deployment": "a", "before": {"commands": [{"run": "a", "when": "sometimes"}]}},
        {"deployment": "a", "before": {"comands": []}},
        {"deployment": "a", "checks": [{"type": "http"}]},
        {"deployment": "a", "checks": [{"type": "nonsense"}]},
        {"deployment": "a", "provider": {"local": {"nonsense": 1}}},
    ],
)
def test_what_the_loader_refuses_is_invalid_by_the_schema(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, build_schema(Plugins()))


@pytest.mark.parametrize("ports", ["all", [], [7946, "53/udp", "4222-4223/udp", "80/tcp"]])
def test_ports_between_nodes_are_valid_as_they_are_written(ports: object) -> None:
    jsonschema.validate(
        {"deployment": "a", "nodes": {"open_between": ports}}, build_schema(Plugins())
    )


def test_commands_are_valid_as_texts_and_as_tables() -> None:
    table = {"run": "pytest -q", "timeout": "5m", "when": "changed"}
    schema = build_schema(Plugins())
    before = {"commands": ["ruff check .", table, {"run": "true"}], "files": ["tests"]}
    jsonschema.validate({"deployment": "a", "before": before}, schema)
    assert schema["$defs"]["BeforeCommand"]["properties"]["timeout"]["default"] == "10m"


def test_defaults_are_written_as_in_the_file() -> None:
    schema = json.loads(schema_text(Plugins()))
    assert schema["$defs"]["Timeouts"]["properties"]["boot"]["default"] == "5m"
