"""docs/providers/aws.md says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from spotdeploy.config.load import decode
from spotdeploy_aws.actions import Action
from spotdeploy_aws.config import AwsConfig


def page(repository: Path) -> str:
    return (repository / "docs" / "providers" / "aws.md").read_text()


def test_the_permissions_listed_are_those_of_the_actions_called(repository: Path) -> None:
    listed = re.findall(r"^\| `(\w+:\w+)` \|", page(repository), re.MULTILINE)
    tagging = "ec2:CreateTags"  # what a TagSpecification needs besides the create call
    free = Action.GET_CALLER_IDENTITY  # which needs no permission
    assert listed == sorted({str(action) for action in Action} - {free} | {tagging})


def test_the_example_names_every_key_and_is_valid(repository: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page(repository), re.DOTALL)
    commented_in = re.sub(r"^# ", "", example, flags=re.MULTILINE)
    table = tomllib.loads(commented_in)["provider"]["aws"]
    decode(table, AwsConfig, "docs/providers/aws.md")
    assert set(table) == {field.name for field in msgspec.structs.fields(AwsConfig)}
