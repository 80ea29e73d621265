"""What goes wrong while credentials are looked for is told as what it is, whatever raised it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy_aws.auth import Chain
from tests.labs.aws import AwsLab
from tests.labs.aws.proxy import SECRETS
from tests.labs.http_server import Handler, HttpServer
from tests.providers.aws.conftest import SCOPE, MakeProvider, batch, offer

TEMPORARY = "ASIALABUSER00000000T"
DEPLOYER = "arn:aws:iam::123456789012:role/deployer"
Serve = Callable[[int, bytes], None]


@pytest.fixture
def profiles(lab: AwsLab, tmp_path: Path) -> Callable[[str], None]:
    """Write ~/.aws/config; AWS_PROFILE is `it`, and its source may be `src`."""
    access = os.environ.pop("AWS_ACCESS_KEY_ID")
    secret = os.environ.pop("AWS_SECRET_ACCESS_KEY")
    source = f"aws_access_key_id = {access}\naws_secret_access_key = {secret}\n"

    def write(its: str) -> None:
        text = (
            f"[profile src]\n{source}region = us-west-2\n[profile it]\n{its}\nregion = us-west-2\n"
        )
        (tmp_path / "config").write_text(text)

    os.environ |= {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "it",
        "AWS_MAX_ATTEMPTS": "1",
    }
    return write


@pytest.fixture
def endpoint() -> Iterator[Serve]:
    """Let a container's credential endpoint answer always the same."""
    with ExitStack() as stack:

        def serve(status: int, body: bytes) -> None:
            class Answer(Handler):
                def answer(self) -> None:
                    self.send(status, {}, body)

            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            server = HttpServer(listener, Answer)
            server.start()
            stack.callback(server.stop)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/creds"
            os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url

        yield serve


def failure(profile: str | None = None) -> ProviderError:
    """What asking for keys ends with."""
    with pytest.raises(ProviderError) as caught:
        Chain(profile).keys()
    return caught.value


ROLE = f"role_arn = {DEPLOYER}\nsource_profile = src"


@pytest.mark.parametrize("code", ["ExpiredToken", "AccessDenied", "RegionDisabledException"])
def test_a_role_that_may_not_be_assumed_is_named(
    profiles: Callable[[str], None], lab: AwsLab, code: str
) -> None:
    profiles(ROLE)
    lab.faults.refuse("AssumeRole", code, "the message of STS", status=403)
    error = failure("it")
    assert type(error) is CredentialsError
    for words in ("profile 'it'", DEPLOYER, code, "the message of STS"):
        assert words in error.message
    assert "--profile it" in str(error.hint)


@pytest.mark.parametrize(
    ("code", "status"), [("InternalFailure", 500), ("ServiceUnavailable", 503), ("Throttling", 400)]
)
def test_a_token_service_that_is_down_is_asked_again(
    profiles: Callable[[str], None], lab: AwsLab, code: str, status: int
) -> None:
    profiles(ROLE)
    lab.faults.refuse("AssumeRole", code, "not now", status=status)
    error = failure()
    assert type(error) is ThrottledError
    assert DEPLOYER in error.message
    assert Chain(None).keys().token


def test_a_token_service_that_cannot_be_reached_is_asked_again(
    profiles: Callable[[str], None],
) -> None:
    profiles(ROLE)
    os.environ["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:9"
    assert type(failure()) is ThrottledError


def test_a_token_service_that_hangs_up_is_asked_again(
    profiles: Callable[[str], None], lab: AwsLab
) -> None:
    profiles(ROLE)
    lab.faults.lose_request("AssumeRole")
    assert type(failure()) is ThrottledError


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/nonexistent/aws-vault exec secret-word", "No such file"),
        ("/bin/echo hello secret-word", "JSONDecodeError"),
        ("/bin/echo null secret-word", "Error"),
        ("/usr/bin/printf '\\xff\\xfe'", "UnicodeDecodeError"),
        ("/bin/echo []", "Error"),
        ("/bin/false secret-word", "custom-process"),
        ("/usr/bin/printf '", "ValueError"),
    ],
)
def test_a_helper_that_fails_is_named_without_its_arguments(
    profiles: Callable[[str], None], command: str, words: str
) -> None:
    profiles(f"credential_process = {command}")
    error = failure()
    assert type(error) is CredentialsError
    assert f"helper {command.split()[0]}" in error.message
    assert words in error.message
    assert "secret-word" not in error.message


def test_a_helper_with_a_date_that_is_none_is_named(
    profiles: Callable[[str], None], tmp_path: Path
) -> None:
    answer = '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "Expiration": "soon"}'
    (tmp_path / "answer").write_text(answer)
    profiles(f"credential_process = /bin/cat {tmp_path / 'answer'}")
    error = failure()
    assert type(error) is CredentialsError
    assert "helper /bin/cat" in error.message


def test_a_token_file_that_is_not_there_is_named(profiles: Callable[[str], None]) -> None:
    profiles(f"role_arn = {DEPLOYER}\nweb_identity_token_file = /nonexistent/token")
    error = failure()
    assert type(error) is CredentialsError
    assert DEPLOYER in error.message
    assert "token file /nonexistent/token" in error.message


def test_a_helper_behind_a_role_is_named_with_it(profiles: Callable[[str], None]) -> None:
    profiles(
        f"role_arn = {DEPLOYER}\nsource_profile = vault\n"
        "[profile vault]\ncredential_process = /nonexistent/vault"
    )
    error = failure()
    assert DEPLOYER in error.message
    assert "helper /nonexistent/vault" in error.message


@pytest.mark.parametrize(
    "body",
    [b'{"AccessKeyId": "A", "Secr', b"<html>Sign in</html>", b"null", b"\xff\xfe\x00", b"[]"],
)
def test_garbage_from_a_credential_endpoint_is_told_with_its_address(
    profiles: Callable[[str], None], endpoint: Serve, body: bytes
) -> None:
    profiles("")
    endpoint(200, body)
    error = failure()
    assert type(error) is CredentialsError
    assert os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] in error.message


def test_a_bad_date_from_a_credential_endpoint_is_told(
    profiles: Callable[[str], None], endpoint: Serve
) -> None:
    profiles("")
    endpoint(
        200,
        b'{"AccessKeyId": "A", "SecretAccessKey": "hush", "Token": "t", "Expiration": "31.31.26"}',
    )
    error = failure()
    assert type(error) is CredentialsError
    assert "hush" not in error.message


@pytest.mark.parametrize(("status", "kind"), [(503, ThrottledError), (403, CredentialsError)])
def test_a_credential_endpoint_that_refuses_is_told_by_what_it_says(
    profiles: Callable[[str], None], endpoint: Serve, status: int, kind: type[ProviderError]
) -> None:
    profiles("")
    endpoint(status, b"no")
    assert type(failure()) is kind


def test_an_mfa_code_without_a_terminal_is_told_with_the_command_that_asks(
    profiles: Callable[[str], None],
) -> None:
    profiles(f"{ROLE}\nmfa_serial = arn:aws:iam::123456789012:mfa/dev")
    script = (
        "from spotdeploy.errors import CredentialsError\n"
        "from spotdeploy_aws.auth import Chain\n"
        "try: Chain('it').keys()\n"
        "except CredentialsError as error: print(error.message, error.hint)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert "there is no terminal" in shown.stdout
    assert "mfa/dev" in shown.stdout
    assert "aws sts get-caller-identity --profile it" in shown.stdout


def test_an_mfa_code_is_asked_for_once_for_all_regions(
    profiles: Callable[[str], None], lab: AwsLab, make: MakeProvider, monkeypatch: Any
) -> None:
    profiles(f"{ROLE}\nmfa_serial = arn:aws:iam::123456789012:mfa/dev")
    asked: list[str] = []

    def code(prompt: str) -> str:
        asked.append(prompt)
        return "123456"

    for region in ("us-west-2", "eu-west-1"):
        provider = make(region)
        session = provider._cloud.chain._session
        resolver = session.get_component("credential_provider")
        resolver.get_provider("assume-role")._prompter = code
        with pytest.raises(CredentialsError):  # the lab does not know the keys that moto makes up
            provider.nodes(SCOPE)
    assert len(asked) == 1
    assert lab.called().count("AssumeRole") == 1


def test_credentials_that_cannot_be_renewed_end_a_destroy_with_the_helpers_name(
    profiles: Callable[[str], None], lab: AwsLab, make: MakeProvider, tmp_path: Path
) -> None:
    script = tmp_path / "vault"
    profiles(f"credential_process = sh {script}")
    until = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    script.write_text(
        f'echo \'{{"Version": 1, "AccessKeyId": "{TEMPORARY}", "SessionToken": "t", '
        f'"SecretAccessKey": "{SECRETS[TEMPORARY]}", "Expiration": "{until}"}}\'\n'
    )
    provider = make()
    nodes = provider.create(offer(), batch(1)).nodes
    script.write_text("echo session over\n")
    with pytest.raises(CredentialsError, match=r"helper sh\): JSONDecodeError"):
        provider.destroy(nodes)
