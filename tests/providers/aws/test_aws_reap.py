"""Looking for what has expired, in all regions of an account."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spotdeploy.cli import build_app
from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError
from spotdeploy_aws.config import AwsConfig
from tests.labs.aws import AwsLab
from tests.labs.aws.call import AwsError
from tests.labs.fault_queue import Fault
from tests.providers.aws.conftest import REGION, MakeProvider

OTHERS = ("a*", "c*", "e*", "i*", "m*", "u*")
"""All regions but sa-east-1."""
DENIAL = AwsError(
    "UnauthorizedOperation",
    "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ci is "
    "not authorized to perform: ec2:DescribeInstances with an explicit deny in a service control "
    "policy",
    403,
)


def close_all_but(lab: AwsLab, *open_regions: str) -> None:
    """As an organization's policy does."""
    lab.faults.queue.append(
        Fault("DescribeInstances", 1000, DENIAL, when=lambda call: call.region not in open_regions)
    )


@pytest.mark.parametrize(
    ("closed", "code"),
    [
        ((), 3),
        ((*OTHERS, "sa-east-1"), 0),
        (OTHERS, 3),
    ],
)
def test_reap_asks_every_region_that_is_not_said_to_be_closed(
    lab: AwsLab, tmp_path: Path, closed: tuple[str, ...], code: int
) -> None:
    os.environ["AWS_REGION"] = REGION
    close_all_but(lab, REGION)
    (tmp_path / "go.sh").write_text("true\n")
    (tmp_path / "spotdeploy.toml").write_text(
        'deployment = "shop"\nproviders = ["aws"]\n[payload]\nentry = "go.sh"\n'
        f"[provider.aws]\nclosed_regions = {list(closed)}\n"
    )
    command = ["reap", "--config", str(tmp_path / "spotdeploy.toml")]
    shown = CliRunner().invoke(build_app(command), command)
    assert shown.exit_code == code, shown.output
    assert f"could not ask aws {REGION}" not in shown.output
    assert ("could not ask aws sa-east-1" in shown.output) == (code == 3)


def test_a_region_of_the_config_is_never_closed(make: MakeProvider) -> None:
    config = AwsConfig(regions=("eu-west-1",), closed_regions=("eu-*",))
    assert type(make()).locations(config) == ("eu-west-1",)
    assert not [one for one in make(closed_regions=["eu-*"]).all_locations() if one[:3] == "eu-"]


def test_what_is_no_region_is_refused() -> None:
    with pytest.raises(ConfigError, match="closed_regions"):
        decode({"closed_regions": ["Europe (Ireland)"]}, AwsConfig, "x.toml", "provider.aws")
