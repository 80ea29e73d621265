"""docs/checks.md has every check, every key with its default, and examples that work."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spotdeploy.check import Check, CheckSettings
from spotdeploy.config.load import decode
from spotdeploy.duration import Duration
from spotdeploy_checks import spotdeploy_register_checks

CHECKS: dict[str, type[Check[Any]]] = {cls.kind: cls for cls in spotdeploy_register_checks()}
COMMON = "Keys of every check"
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?P<default>.+?) \|", re.MULTILINE)
EXAMPLE = re.compile(r"^```toml\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def sections(repository: Path) -> dict[str, str]:
    """Heading to text."""
    text = (repository / "docs/checks.md").read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def written(value: object) -> str:
    """A default as it is written in TOML and in the page."""
    if value is None:
        return "none"
    if isinstance(value, Duration):
        return f'`"{value}"`'
    return f"`{json.dumps(value)}`"


def defaults(settings: type[CheckSettings]) -> dict[str, str]:
    """Key to default, as the page should have them."""
    found = {}
    for field in msgspec.structs.fields(settings):
        value = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            value = field.default_factory()
        found[field.encode_name] = "required" if value is msgspec.NODEFAULT else written(value)
    return found


def test_the_page_has_a_heading_for_each_check_and_no_other(sections: dict[str, str]) -> None:
    assert set(sections) == {COMMON, *CHECKS}


def test_the_keys_of_every_check_are_told_once(sections: dict[str, str]) -> None:
    assert dict(ROW.findall(sections[COMMON])) == defaults(CheckSettings)


@pytest.mark.parametrize("kind", CHECKS)
def test_each_key_is_told_with_its_default(sections: dict[str, str], kind: str) -> None:
    common = defaults(CheckSettings)
    own = {
        key: default
        for key, default in defaults(CHECKS[kind].Settings).items()
        if common.get(key) != default
    }
    assert dict(ROW.findall(sections[kind])) == own


@pytest.mark.parametrize("kind", CHECKS)
def test_each_example_works(sections: dict[str, str], kind: str) -> None:
    (example,) = EXAMPLE.findall(sections[kind])
    (table,) = tomllib.loads(example)["checks"]
    cls = CHECKS[kind]
    assert table["type"] == kind
    assert cls(decode(table, cls.Settings, "checks.md")).name


def test_every_link_on_the_page_leads_somewhere(repository: Path) -> None:
    text = (repository / "docs/checks.md").read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert f"\n## {target[1:]}\n" in text
        else:
            assert (repository / "docs" / target.partition("#")[0]).exists()
