"""docs/providers/azure.md says what the provider does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from spotdeploy.config.load import decode
from spotdeploy_azure.actions import Action, permissions
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import CODES


@pytest.fixture
def page(repository: Path) -> str:
    """The page."""
    return (repository / "docs/providers/azure.md").read_text("utf-8")


def test_the_documented_permissions_are_those_of_the_actions(page: str) -> None:
    rows = re.findall(r"^\| `(Microsoft\.[\w./]+)` \|", page, re.MULTILINE)
    assert rows == sorted(rows)
    assert rows == permissions()


def test_every_key_is_documented_and_the_example_is_one(page: str) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    plain = re.sub(r"^# (?=\w+ = |\[)", "", block, flags=re.MULTILINE)
    table = tomllib.loads(plain)["provider"]["azure"]
    decode(table, AzureConfig, "docs/providers/azure.md")
    unexplained = {"endpoint", "login_endpoint", "address_service"}
    assert set(table) == set(AzureConfig.__struct_fields__) - unexplained


def test_every_operation_of_the_provider_is_called_somewhere(repository: Path) -> None:
    folder = repository / "providers" / "spotdeploy_azure"
    code = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    assert [action.name for action in Action if f"Action.{action.name}" not in code] == []


def test_every_code_in_the_table_is_known(page: str) -> None:
    known = CODES.capacity | CODES.quota | CODES.credentials | CODES.hints.keys()
    known |= {"OperationNotAllowed"}
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \|", page.partition("## When")[2], re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert codes
    assert {code for code in codes if not code.startswith("AADSTS")} <= known
