"""Every provider has a how-to of the same form, and names refusals that the code knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from spotdeploy.config.load import decode
from spotdeploy.provider import ProviderConfig
from spotdeploy_local.config import LocalConfig

SECTIONS = (
    "What to set up once",
    "Configuration",
    "What is created",
    "What it costs to forget it",
    "When something goes wrong",
)
PROVIDERS = ("aws", "azure", "gcp", "local")


def keys_of(table: type[ProviderConfig]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(table)}


def page(repository: Path, name: str) -> str:
    return (repository / "docs/providers" / f"{name}.md").read_text()


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_how_to_has_the_same_sections_in_the_same_order(repository: Path, name: str) -> None:
    found = re.findall(r"^## (.+)$", page(repository, name), re.MULTILINE)
    assert [one for one in found if one in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_how_to_is_a_page_of_the_site(repository: Path, name: str) -> None:
    assert f"providers/{name}.md\n" in (repository / "mkdocs.yml").read_text()


@pytest.mark.parametrize("name", ["aws", "azure", "gcp"])
def test_every_refusal_that_a_how_to_names_is_one_the_provider_knows(
    repository: Path, name: str
) -> None:
    source = (repository / f"providers/spotdeploy_{name}/errors.py").read_text()
    table = page(repository, name).partition("## When something goes wrong")[2]
    first = "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    reported = re.findall(r"`(\w[\w.]*)`", first)
    assert reported
    assert [code for code in reported if f'"{code}"' not in source] == []


def test_the_example_for_local_machines_names_every_key_of_its_own(repository: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page(repository, "local"), re.DOTALL)
    table = tomllib.loads(re.sub(r"^# ", "", example, flags=re.MULTILINE))["provider"]["local"]
    decode(table, LocalConfig, "docs/providers/local.md")
    assert set(table) == keys_of(LocalConfig) - keys_of(ProviderConfig)
