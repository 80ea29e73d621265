"""Credentials, regions and endpoints are found as the AWS tools find them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError, CredentialsError
from spotdeploy_aws.auth import Chain, Keys
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.proxy import SECRETS
from tests.providers.aws.conftest import SCOPE, MakeProvider, url_of

TEMPORARY = "ASIALABUSER00000000T"
CONFIG = """\
[default]
region = eu-north-1

[profile shop]
region = eu-west-1
services = here
role_arn =

[profile plain]
region = eu-west-1
endpoint_url = http://127.0.0.1:7

[profile single-sign-on]
sso_session = corporate
sso_account_id = 123456789012
sso_role_name = Deployer

[sso-session corporate]
sso_region = eu-west-1
sso_start_url = https://example.awsapps.com/start

[services here]
ec2 =
  endpoint_url = http://127.0.0.1:8
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG.replace("role_arn =\n", ""))
    (tmp_path / "credentials").write_text(
        "[shop]\naws_access_key_id = AKIASHOP\naws_secret_access_key = shop-secret\n"
        "[plain]\naws_access_key_id = AKIAPLAIN\naws_secret_access_key = plain-secret\n"
    )
    os.environ |= {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_a_profile_gives_keys_and_region() -> None:
    assert Chain("shop").keys() == Keys("AKIASHOP", "shop-secret", None)
    assert Chain("shop").region() == "eu-west-1"


def test_the_profile_of_the_environment_is_used() -> None:
    os.environ["AWS_PROFILE"] = "shop"
    assert Chain(None).region() == "eu-west-1"


def test_the_environments_region_wins_over_the_files() -> None:
    assert Chain(None).region() == "eu-north-1"
    os.environ["AWS_DEFAULT_REGION"] = "us-east-2"
    assert Chain(None).region() == "us-east-2"
    os.environ["AWS_REGION"] = "us-west-1"
    assert Chain(None).region() == "us-west-1"


def test_locations_are_the_configs_or_else_the_usual_region() -> None:
    assert AwsProvider.locations(AwsConfig(regions=("a-b-1", "c-d-2"))) == ("a-b-1", "c-d-2")
    assert AwsProvider.locations(AwsConfig(profile="shop")) == ("eu-west-1",)


def test_no_region_anywhere_is_reported_with_a_remedy() -> None:
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    with pytest.raises(ConfigError, match="no AWS region") as caught:
        AwsProvider.locations(AwsConfig())
    assert "regions" in str(caught.value.hint)


def test_no_credentials_anywhere_is_reported_with_a_remedy() -> None:
    with pytest.raises(CredentialsError, match="no AWS credentials") as caught:
        Chain(None).keys()
    assert "aws configure" in str(caught.value.hint)


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(CredentialsError, match="nobody"):
        Chain("nobody").keys()


def test_an_expired_single_sign_on_says_how_to_log_in() -> None:
    with pytest.raises(CredentialsError) as caught:
        Chain("single-sign-on").keys()
    assert caught.value.hint == "run 'aws sso login --profile single-sign-on'"


def test_endpoints_are_found_in_the_documented_order() -> None:
    own = "https://ec2.eu-west-1.amazonaws.com/"
    assert url_of("plain") == "http://127.0.0.1:7/"
    assert url_of("shop") == "http://127.0.0.1:8/"
    assert url_of("shop", "sts") == "https://sts.eu-west-1.amazonaws.com/"
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    assert url_of("shop") == "http://127.0.0.1:9/"
    os.environ["AWS_ENDPOINT_URL_EC2"] = "http://127.0.0.1:10"
    assert url_of("shop") == "http://127.0.0.1:10/"
    os.environ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
    assert url_of("shop") == own


def test_a_region_that_cannot_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="no region 'moon-base-1'"):
        Chain("shop").client("sts", "moon-base-1")


def test_a_region_of_another_cloud_that_speaks_ec2_is_taken() -> None:
    assert url_of("plain", region="moon-base-1") == "http://127.0.0.1:7/"


def test_all_regions_share_one_chain_while_one_of_them_lives(make: MakeProvider) -> None:
    first, second = make("us-west-2"), make("eu-west-1")
    assert first._cloud.chain is second._cloud.chain
    assert make(profile="shop")._cloud.chain is not first._cloud.chain
    os.environ["AWS_ACCESS_KEY_ID"] = "AKIAELSE"
    assert make("us-west-2")._cloud.chain is not first._cloud.chain


def test_keys_show_no_secret() -> None:
    assert "hush" not in repr(Keys("AKIA", "hush", "hush"))


def test_a_session_token_is_sent_and_signed(lab: AwsLab, make: MakeProvider) -> None:
    os.environ |= {
        "AWS_ACCESS_KEY_ID": TEMPORARY,
        "AWS_SECRET_ACCESS_KEY": SECRETS[TEMPORARY],
        "AWS_SESSION_TOKEN": "the-token",
    }
    make().nodes(SCOPE)
    headers = {name.lower(): value for name, value in lab.calls[-1].headers.items()}
    assert headers["x-amz-security-token"] == "the-token"
    assert "x-amz-security-token" in headers["authorization"]


def test_credentials_that_expire_are_renewed_while_a_provider_lives(
    lab: AwsLab, make: MakeProvider, tmp_path: Path
) -> None:
    script = tmp_path / "credentials.sh"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.pop(name)
    os.environ["AWS_CONFIG_FILE"] = str(tmp_path / "config")
    (tmp_path / "config").write_text(f"[profile job]\ncredential_process = sh {script}\n")
    _hand_out(script, "first", timedelta(minutes=5))
    provider = make(profile="job")
    provider.nodes(SCOPE)
    _hand_out(script, "second", timedelta(hours=1))
    provider.nodes(SCOPE)
    tokens = [call.headers["X-Amz-Security-Token"] for call in lab.calls]
    assert tokens == ["first", "second"]


def _hand_out(script: Path, token: str, lasting: timedelta) -> None:
    until = (datetime.now(UTC) + lasting).strftime("%Y-%m-%dT%H:%M:%SZ")
    script.write_text(
        f'echo \'{{"Version": 1, "AccessKeyId": "{TEMPORARY}", "SessionToken": "{token}", '
        f'"SecretAccessKey": "{SECRETS[TEMPORARY]}", "Expiration": "{until}"}}\'\n'
    )
