"""Who acts, where, and what is reported when that does not work."""

from __future__ import annotations

import base64
import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from spotdeploy.errors import ConfigError, CredentialsError, ProviderError, ThrottledError
from spotdeploy_azure.actions import Action
from spotdeploy_azure.auth import assertion
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.call import DROPPED, Reply
from tests.labs.azure.lab import CLIENT, SECRET, SUBSCRIPTION
from tests.providers.azure.conftest import SCOPE, MakeProvider

VARIABLES = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")


def test_the_environment_names_the_service_principal(
    provider: AzureProvider, lab: AzureLab
) -> None:
    assert provider.nodes(SCOPE) == []
    (form,) = lab.logins.forms
    assert form["client_id"] == CLIENT
    assert form["client_secret"] == SECRET
    assert provider.account() == SUBSCRIPTION


def test_the_config_may_name_them_instead(
    make: MakeProvider, lab: AzureLab, tmp_path: Path
) -> None:
    known = {name: os.environ.pop(name) for name in (*VARIABLES, "AZURE_SUBSCRIPTION_ID")}
    secret = tmp_path / "secret"
    secret.write_text(f"{known['AZURE_CLIENT_SECRET']}\n")
    provider = make(
        tenant=known["AZURE_TENANT_ID"],
        client_id=known["AZURE_CLIENT_ID"],
        client_secret=f"file:{secret}",
        subscription=known["AZURE_SUBSCRIPTION_ID"],
    )
    assert provider.nodes(SCOPE) == []


def test_a_secret_in_the_clear_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="client_secret") as caught:
        make(client_secret="abc~123")
    assert "abc~123" not in f"{caught.value.message} {caught.value.hint}"


def test_a_secret_that_is_not_there_is_reported(make: MakeProvider) -> None:
    with pytest.raises(CredentialsError, match=r"client_secret cannot be read.*NO_SUCH"):
        make(client_secret="env:NO_SUCH").nodes(SCOPE)


@pytest.mark.parametrize("name", VARIABLES)
def test_missing_credentials_name_what_to_set(provider: AzureProvider, name: str) -> None:
    del os.environ[name]
    with pytest.raises(CredentialsError) as caught:
        provider.nodes(SCOPE)
    assert "AZURE_CLIENT_SECRET" in str(caught.value.hint)


def test_a_missing_subscription_names_what_to_set(provider: AzureProvider) -> None:
    del os.environ["AZURE_SUBSCRIPTION_ID"]
    with pytest.raises(ConfigError, match="no Azure subscription") as caught:
        provider.nodes(SCOPE)
    assert "AZURE_SUBSCRIPTION_ID" in str(caught.value.hint)


def test_a_wrong_subscription_is_reported_with_azures_message(provider: AzureProvider) -> None:
    os.environ["AZURE_SUBSCRIPTION_ID"] = SUBSCRIPTION.replace("9", "1")
    with pytest.raises(CredentialsError, match="could not be found") as caught:
        provider.nodes(SCOPE)
    assert "AZURE_SUBSCRIPTION_ID" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("AZURE_TENANT_ID", "AADSTS90002", "AZURE_TENANT_ID"),
        ("AZURE_CLIENT_ID", "AADSTS700016", "AZURE_CLIENT_ID"),
        ("AZURE_CLIENT_SECRET", "AADSTS7000215", "credential reset"),
    ],
)
def test_a_refused_login_keeps_the_message_and_says_what_to_do(
    provider: AzureProvider, name: str, message: str, hint: str
) -> None:
    os.environ[name] = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CredentialsError, match=message) as caught:
        provider.nodes(SCOPE)
    assert hint in str(caught.value.hint)
    assert "Trace ID" not in caught.value.message


def test_an_expired_secret_says_how_to_get_a_new_one(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.revoke()
    with pytest.raises(CredentialsError, match="expired") as caught:
        provider.nodes(SCOPE)
    assert "az ad app credential reset" in str(caught.value.hint)


def test_a_token_that_ended_early_is_renewed(provider: AzureProvider, lab: AzureLab) -> None:
    assert provider.nodes(SCOPE) == []
    lab.logins.expired = True
    with pytest.raises(CredentialsError, match="expiry"):
        provider.nodes(SCOPE)
    assert provider.nodes(SCOPE) == []
    assert len(lab.logins.forms) == 2


def test_one_login_serves_many_calls(provider: AzureProvider, lab: AzureLab) -> None:
    for _ in range(3):
        provider.nodes(SCOPE)
    assert len(lab.logins.forms) == 1


def test_no_secret_is_in_an_error_or_a_repr(provider: AzureProvider, lab: AzureLab) -> None:
    lab.revoke()
    with pytest.raises(CredentialsError) as caught:
        provider.nodes(SCOPE)
    seen = f"{caught.value!r} {caught.value.message} {provider.__dict__!r} {caught.value.hint}"
    assert SECRET not in seen
    assert SECRET not in repr(provider._cloud.driver.connection.__dict__)


def test_a_federated_token_serves_in_place_of_a_secret(
    provider: AzureProvider, lab: AzureLab, tmp_path: Path
) -> None:
    del os.environ["AZURE_CLIENT_SECRET"]
    token = tmp_path / "token"
    token.write_text("the-token\n")
    os.environ["AZURE_FEDERATED_TOKEN_FILE"] = str(token)
    lab.logins.assertions.add("the-token")
    assert provider.nodes(SCOPE) == []
    assert lab.logins.forms[0]["client_assertion_type"].endswith("jwt-bearer")


def test_a_certificate_signs_a_statement_for_the_login(
    provider: AzureProvider, lab: AzureLab, tmp_path: Path
) -> None:
    del os.environ["AZURE_CLIENT_SECRET"]
    key, certificate = key_pair()
    path = tmp_path / "certificate.pem"
    path.write_bytes(pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    os.environ["AZURE_CLIENT_CERTIFICATE_PATH"] = str(path)
    with pytest.raises(CredentialsError):  # the lab cannot know what was signed just now
        provider.nodes(SCOPE)
    head, claims, signature = lab.logins.forms[0]["client_assertion"].split(".")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    signed = f"{head}.{claims}".encode()
    key.public_key().verify(decoded(signature), signed, pss, hashes.SHA256())
    asserted = json.loads(decoded(claims))
    assert (asserted["iss"], asserted["sub"]) == (CLIENT, CLIENT)
    assert asserted["aud"] == f"{lab.url}/{os.environ['AZURE_TENANT_ID']}/oauth2/token"
    assert decoded(json.loads(decoded(head))["x5t#S256"]) == certificate.fingerprint(
        hashes.SHA256()
    )


def test_a_file_that_is_no_certificate_is_reported() -> None:
    with pytest.raises(CredentialsError, match="AZURE_CLIENT_CERTIFICATE_PATH") as caught:
        assertion(b"nonsense", CLIENT, "https://login.example")
    assert "PEM" in str(caught.value.hint)


def test_a_login_that_cannot_be_reached_is_reported(make: MakeProvider) -> None:
    where = "login: cannot reach http://127.0.0.1:9:"
    with pytest.raises(ProviderError, match=where) as caught:
        make(login_endpoint="http://127.0.0.1:9").nodes(SCOPE)
    assert not isinstance(caught.value, CredentialsError | ThrottledError)


@pytest.mark.parametrize(
    "reply",
    [
        DROPPED,
        Reply(503, b""),
        Reply(502, b"<html><title>Bad Gateway</title></html>"),
        Reply(408, b"null"),
        Reply(429, b'{"error": "too_many_requests"}'),
        Reply(500, b'{"error": "server_error", "error_description": "AADSTS90033: try again"}'),
        Reply(400, b'{"error": "temporarily_unavailable", "error_description": "AADSTS90006: x"}'),
    ],
)
def test_an_outage_of_the_login_is_no_refusal(
    provider: AzureProvider, lab: AzureLab, reply: Reply
) -> None:
    provider.nodes(SCOPE)
    connection: Any = provider._cloud.driver.connection
    connection.forget_token()
    lab.logins.trouble = [reply]
    with pytest.raises(ThrottledError, match=r"^login: "):
        provider.nodes(SCOPE)
    assert provider.nodes(SCOPE) == []


def test_a_login_that_says_when_to_come_back_is_left_alone_until_then(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.logins.trouble = [Reply(429, b"{}", {"Retry-After": "37"})]
    with pytest.raises(ThrottledError) as caught:
        provider.nodes(SCOPE)
    assert caught.value.retry_after == 37.0


def test_a_create_call_whose_login_failed_was_not_sent(
    provider: AzureProvider, lab: AzureLab
) -> None:
    lab.logins.trouble = [DROPPED]
    at = {"group": "g", "deployment": "d"}
    with pytest.raises(ThrottledError, match=r"^login: no answer"):
        provider._cloud.driver.call(Action.DEPLOY, object, at, body={}, repeatable=False)


DAMAGED = [
    b"",
    b"null",
    b"[]",
    b'{"access_token": "eyJ0eXAi',
    b'{"access_token": "a"}',
    b'{"access_token": null, "expires_on": "1800003600"}',
    b'{"access_token": "two\\nlines", "expires_on": "1800003600"}',
    b'{"access_token": "a", "expires_on": "tomorrow"}',
    b'{"access_token": "a", "expires_on": "' + b"9" * 5000 + b'"}',
    b'{"access_token": "\xff\xfe", "expires_on": "1800003600"}',
    b"\x80\x81",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", DAMAGED, ids=lambda body: repr(body[:30]))
def test_a_damaged_token_is_asked_for_again(
    provider: AzureProvider, lab: AzureLab, body: bytes
) -> None:
    lab.logins.trouble = [Reply(200, body)]
    with pytest.raises(ThrottledError, match="Azure's login answered") as caught:
        provider.nodes(SCOPE)
    assert "eyJ0eXAi" not in caught.value.message
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize("body", DAMAGED, ids=lambda body: repr(body[:30]))
def test_a_refusal_that_cannot_be_read_is_a_refusal(
    provider: AzureProvider, lab: AzureLab, body: bytes
) -> None:
    lab.logins.trouble = [Reply(401, body)]
    with pytest.raises(CredentialsError, match="Azure refuses the login: HTTP 401"):
        provider.nodes(SCOPE)


def test_a_sign_in_page_is_named_for_what_it_is(provider: AzureProvider, lab: AzureLab) -> None:
    lab.logins.trouble = [Reply(200, b"\n<!DOCTYPE html><title>Hotel Wi-Fi</title>")]
    with pytest.raises(CredentialsError, match="a web page instead of a token") as caught:
        provider.nodes(SCOPE)
    assert "proxy" in str(caught.value.hint)


def test_a_federated_token_that_is_no_text_is_reported(
    provider: AzureProvider, tmp_path: Path
) -> None:
    del os.environ["AZURE_CLIENT_SECRET"]
    token = tmp_path / "token"
    token.write_bytes(b"\xff\xfe\x00")
    os.environ["AZURE_FEDERATED_TOKEN_FILE"] = str(token)
    with pytest.raises(CredentialsError, match="token is no token"):
        provider.nodes(SCOPE)


def test_the_authority_of_the_environment_is_used(make: MakeProvider, lab: AzureLab) -> None:
    os.environ["AZURE_AUTHORITY_HOST"] = lab.url
    provider = make(login_endpoint=None)
    assert provider.nodes(SCOPE) == []


def test_an_endpoint_that_is_no_url_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="not an http"):
        make(endpoint="management.example").nodes(SCOPE)


@pytest.mark.parametrize("cloud", ["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"])
def test_every_azure_has_https_addresses_of_its_own(cloud: Any) -> None:
    from spotdeploy_azure.api import environment_of

    environment = environment_of(AzureConfig(cloud=cloud))
    assert environment["resourceManagerEndpointUrl"].startswith("https://management.")
    assert environment["activeDirectoryEndpointUrl"].startswith("https://login.")


def key_pair() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spotdeploy")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1).not_valid_before(now)
    builder = builder.not_valid_after(now + datetime.timedelta(days=365))
    return key, builder.sign(key, hashes.SHA256())


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
