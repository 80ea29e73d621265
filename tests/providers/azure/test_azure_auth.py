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
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from tests.labs.azure import AzureLab
from tests.labs.azure.call import DROPPED, Reply
from tests.labs.azure.lab import CLIENT, SECRET, SUBSCRIPTION
from tests.labs.azure.server import GITHUB
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
    os.environ["AZURE_FEDERATED_TOKEN_FILE"] = str(token)
    connection: Any = provider._cloud.driver.connection
    for content in ("the-token", "the-next-token"):  # it lives for minutes, and is made anew
        token.write_text(f"{content}\n")
        lab.logins.assertions = {content}
        connection.forget_token()
        assert provider.nodes(SCOPE) == []
    sent = [form["client_assertion"] for form in lab.logins.forms]
    assert sent == ["the-token", "the-next-token"]
    assert lab.logins.forms[0]["client_assertion_type"].endswith("jwt-bearer")


@pytest.fixture
def github(lab: AzureLab) -> AzureLab:
    """A job of GitHub Actions with 'id-token: write'."""
    del os.environ["AZURE_CLIENT_SECRET"]
    os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"{lab.url}/github?job=1"
    os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = GITHUB
    return lab


def test_githubs_token_is_made_anew_for_each_login(
    provider: AzureProvider, github: AzureLab
) -> None:
    connection: Any = provider._cloud.driver.connection
    for _ in range(3):
        connection.expires_on = 0
        assert provider.nodes(SCOPE) == []
        connection.forget_token()
    assert len({form["client_assertion"] for form in github.logins.forms}) == 3


def test_github_that_refuses_says_which_permission_is_missing(
    provider: AzureProvider, github: AzureLab
) -> None:
    os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "old"
    with pytest.raises(CredentialsError, match="GitHub's OIDC gives no token: HTTP 401") as caught:
        provider.nodes(SCOPE)
    assert "id-token: write" in str(caught.value.hint)


@pytest.mark.parametrize("reply", [DROPPED, Reply(503), Reply(429), Reply(200, b"{}")])
def test_an_outage_of_github_is_no_refusal(
    provider: AzureProvider, github: AzureLab, reply: Reply
) -> None:
    github.logins.github_trouble = [reply]
    with pytest.raises(ThrottledError, match="GitHub's OIDC"):
        provider.nodes(SCOPE)
    assert provider.nodes(SCOPE) == []


@pytest.fixture
def machine(lab: AzureLab) -> AzureLab:
    """A machine of Azure's, or a service, that has a managed identity."""
    for name in VARIABLES:
        del os.environ[name]
    os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = lab.url
    lab.logins.identities = {""}
    return lab


def test_a_managed_identity_serves(provider: AzureProvider, machine: AzureLab) -> None:
    assert provider.nodes(SCOPE) == []
    assert "client_id" not in machine.logins.asked[0]
    assert machine.logins.forms == []


def test_a_managed_identity_may_be_named(provider: AzureProvider, machine: AzureLab) -> None:
    machine.logins.identities = {CLIENT}
    os.environ["AZURE_CLIENT_ID"] = CLIENT
    assert provider.nodes(SCOPE) == []
    assert machine.logins.asked[0]["client_id"] == CLIENT


@pytest.mark.parametrize("reply", [DROPPED, Reply(503), Reply(429), Reply(410), Reply(500, b"{}")])
def test_an_outage_of_managed_identities_is_no_refusal(
    provider: AzureProvider, machine: AzureLab, reply: Reply
) -> None:
    machine.logins.identity_trouble = [reply]
    with pytest.raises(ThrottledError):
        provider.nodes(SCOPE)
    assert provider.nodes(SCOPE) == []


def put_az(folder: Path, script: str) -> None:
    """An Azure CLI on the PATH that does this."""
    az = folder / "az"
    az.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{script}\n')
    az.chmod(0o755)
    os.environ["PATH"] = f"{folder}:/usr/bin:/bin"


TOKEN = '{"accessToken": "%s", "expires_on": 4102444800, "tokenType": "Bearer"}'


def test_a_machine_without_identity_takes_the_login_of_the_azure_cli(
    provider: AzureProvider, machine: AzureLab, tmp_path: Path
) -> None:
    machine.logins.identities = set()
    machine.logins.tokens.add("from-az")
    put_az(tmp_path, f"echo '{TOKEN % 'from-az'}'")
    assert provider.nodes(SCOPE) == []
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("account get-access-token --output json --resource https://management")
    assert asked.endswith(f"--subscription {SUBSCRIPTION}")


def test_the_azure_cli_names_the_subscription_when_nothing_else_does(
    lab: AzureLab, make: MakeProvider, tmp_path: Path
) -> None:
    for name in (*VARIABLES, "AZURE_SUBSCRIPTION_ID"):
        del os.environ[name]
    os.environ["AZURE_CONFIG_DIR"] = str(tmp_path)
    every = [{"id": "0", "isDefault": False}, {"id": SUBSCRIPTION.upper(), "isDefault": True}]
    profile = json.dumps({"subscriptions": every})
    (tmp_path / "azureProfile.json").write_text(profile, "utf-8-sig")
    lab.logins.tokens.add("from-az")
    put_az(tmp_path, f"echo '{TOKEN % 'from-az'}'")
    provider = make()
    assert provider.account() == SUBSCRIPTION
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize(
    ("script", "kind", "hint"),
    [
        ("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1", None, "az login"),
        ("echo 'ERROR: AADSTS70043: The refresh token has expired' >&2; exit 1", None, "az login"),
        ("echo 'ERROR: HTTPSConnectionPool: Max retries exceeded' >&2; exit 1", ThrottledError, ""),
        ("echo nonsense", None, ""),
    ],
)
def test_what_the_azure_cli_says_is_told_with_what_to_do(
    lab: AzureLab,
    provider: AzureProvider,
    tmp_path: Path,
    script: str,
    kind: type[ProviderError] | None,
    hint: str,
) -> None:
    for name in VARIABLES:
        del os.environ[name]
    put_az(tmp_path, script)
    with pytest.raises(kind or CredentialsError) as caught:
        provider.nodes(SCOPE)
    assert "\n" not in caught.value.message
    assert hint in str(caught.value.hint)


def test_nothing_at_all_names_every_way_in(
    lab: AzureLab, provider: AzureProvider, tmp_path: Path
) -> None:
    for name in VARIABLES:
        del os.environ[name]
    os.environ["PATH"] = str(tmp_path)
    with pytest.raises(CredentialsError, match="no Azure credentials found: az login: ") as caught:
        provider.nodes(SCOPE)
    assert "az login" in str(caught.value.hint)
    assert "AZURE_CLIENT_SECRET" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        ("AADSTS700213", "No matching federated identity record found", "federated-credential"),
        ("AADSTS700211", "No matching federated identity record found", "federated-credential"),
        ("AADSTS7000112", "Application is disabled.", "accountEnabled=true"),
        ("AADSTS53003", "Blocked by Conditional Access policies.", "Conditional Access"),
        ("AADSTS700024", "Client assertion is not within its valid time range", "made anew"),
        ("AADSTS700027", "The certificate is not registered", "certificate's public part"),
    ],
)
def test_a_refusal_has_its_own_cure(
    provider: AzureProvider, lab: AzureLab, number: str, words: str, hint: str
) -> None:
    lab.logins.refused = ("invalid_client", f"{number}: {words}")
    with pytest.raises(CredentialsError, match=number) as caught:
        provider.nodes(SCOPE)
    assert hint in str(caught.value.hint)
    assert "AZURE_CLIENT_SECRET" not in str(caught.value.hint)


def test_a_refusal_of_no_known_number_names_what_was_shown(
    provider: AzureProvider, github: AzureLab
) -> None:
    github.logins.refused = ("invalid_client", "AADSTS999: Something new.")
    with pytest.raises(CredentialsError, match="Something new") as caught:
        provider.nodes(SCOPE)
    assert "AZURE_CLIENT_ID and a federated token" in str(caught.value.hint)


def test_a_login_that_is_not_by_https_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="only by https"):
        make(login_endpoint="http://127.0.0.1:9").nodes(SCOPE)


def test_a_tenant_that_is_no_tenant_is_refused(provider: AzureProvider) -> None:
    os.environ["AZURE_TENANT_ID"] = "no tenant/at all"
    with pytest.raises(ConfigError, match="tenant"):
        provider.nodes(SCOPE)


def test_the_login_of_an_unknown_issuer_is_not_trusted(provider: AzureProvider) -> None:
    del os.environ["REQUESTS_CA_BUNDLE"]
    with pytest.raises(ProviderError, match=r"login: cannot reach https.*certificate"):
        provider.nodes(SCOPE)


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
    signed, header = f"{head}.{claims}".encode(), json.loads(decoded(head))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    kind = {"PS256": pss, "RS256": padding.PKCS1v15()}[header["alg"]]
    key.public_key().verify(decoded(signature), signed, kind, hashes.SHA256())
    asserted = json.loads(decoded(claims))
    assert (asserted["iss"], asserted["sub"]) == (CLIENT, CLIENT)
    assert asserted["aud"] == f"{lab.login_url}/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    algorithm = hashes.SHA256() if "x5t#S256" in header else hashes.SHA1()
    shown = header.get("x5t#S256") or header["x5t"]
    assert decoded(shown) == certificate.fingerprint(algorithm)


def test_a_file_that_is_no_certificate_is_reported(provider: AzureProvider, tmp_path: Path) -> None:
    del os.environ["AZURE_CLIENT_SECRET"]
    path = tmp_path / "certificate.pem"
    path.write_bytes(b"nonsense")
    os.environ["AZURE_CLIENT_CERTIFICATE_PATH"] = str(path)
    with pytest.raises(CredentialsError, match="AZURE_CLIENT_CERTIFICATE_PATH") as caught:
        provider.nodes(SCOPE)
    assert "PEM" in str(caught.value.hint)


def test_a_login_that_cannot_be_reached_is_reported(make: MakeProvider) -> None:
    where = "login: cannot reach https://127.0.0.1:9:"
    with pytest.raises(ProviderError, match=where) as caught:
        make(login_endpoint="https://127.0.0.1:9").nodes(SCOPE)
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
    b'{"access_token": null, "expires_in": 3600}',
    b'{"access_token": "two\\nlines", "expires_in": 3600}',
    b'{"access_token": "a", "expires_in": "tomorrow"}',
    b'{"access_token": "a", "expires_in": "' + b"9" * 5000 + b'"}',
    b'{"access_token": "\xff\xfe", "expires_in": 3600}',
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
    os.environ["AZURE_AUTHORITY_HOST"] = lab.login_url
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
