"""The page about GCP is held to the program."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from spotdeploy.config.load import decode
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.config import GcpConfig


def page(repository: Path) -> str:
    """The page."""
    return (repository / "docs" / "providers" / "gcp.md").read_text("utf-8")


def test_the_permissions_listed_are_those_of_the_methods_called(repository: Path) -> None:
    listed = re.findall(r"^\| `(compute\.\w+\.\w+)` \|", page(repository), re.MULTILINE)
    needed = {permission for action in Action for permission in action.value.permissions}
    assert listed == sorted(needed)


def test_every_method_of_the_provider_is_called_somewhere(repository: Path) -> None:
    folder = repository / "providers" / "spotdeploy_gcp"
    code = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    unused = [action.name for action in Action if f"Action.{action.name}" not in code]
    assert unused == []


def test_the_table_in_the_page_names_keys_that_exist(repository: Path) -> None:
    block, *_ = re.findall(r"```toml\n(.*?)```", page(repository), re.DOTALL)
    plain = re.sub(r"^# (?=\w+ = )", "", block, flags=re.MULTILINE)
    table = tomllib.loads(plain)["provider"]["gcp"]
    decode(table, GcpConfig, "docs/providers/gcp.md")
    unexplained = {"credentials", "endpoint", "address_service", "price_service"}
    known = {field.name for field in msgspec.structs.fields(GcpConfig)}
    assert set(table) == known - unexplained
