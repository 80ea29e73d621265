"""Who acts, in which project, and what is reported when that does not work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError, CredentialsError, ProviderError, ThrottledError
from spotdeploy.run.location import Location
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.gcp import GcpLab
from tests.labs.gcp.call import DROPPED, GoogleError, Reply, answer
from tests.labs.gcp.tokens import EMAIL
from tests.providers.gcp.conftest import SCOPE, MakeProvider, batch, offer

LIST = "compute.instances.aggregatedList"


def test_a_key_file_named_in_the_config_is_used(make: MakeProvider, lab: GcpLab) -> None:
    del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    provider = make(credentials=str(lab.key_file))
    assert provider.nodes(SCOPE) == []
    assert provider.account() == lab.project
    assert getattr(provider._cloud.chain._found[0], "service_account_email", None) == EMAIL


def test_the_key_file_of_the_environment_is_used(make: MakeProvider, lab: GcpLab) -> None:
    assert make().nodes(SCOPE) == []
    assert make().account() == lab.project


def test_the_users_own_login_is_found_where_gcloud_leaves_it(
    make: MakeProvider, lab: GcpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    folder = Path(os.environ["HOME"], ".config", "gcloud")
    folder.mkdir(parents=True)
    adc = folder / "application_default_credentials.json"
    adc.write_text(json.dumps(lab.tokens.user_file()), "utf-8")
    endpoint = "google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT"
    monkeypatch.setattr(endpoint, lab.tokens.url)
    assert make(project=lab.project).nodes(SCOPE) == []


def test_the_metadata_server_is_asked_on_a_machine_of_googles(
    make: MakeProvider, lab: GcpLab
) -> None:
    host = lab.url.removeprefix("http://")
    variables = {"GCE_METADATA_HOST": host, "GCE_METADATA_ROOT": host, "GCE_METADATA_IP": host}
    script = (
        "from spotdeploy_gcp.config import GcpConfig\n"
        "from spotdeploy_gcp.provider import GcpProvider\n"
        f"p = GcpProvider(GcpConfig(endpoint='{lab.url}'), 'us-central1')\n"
        "nodes = list(p.nodes({'spotdeploy-deployment': 'x'}))\n"
        "print(p.account(), p._cloud.chain._found[0].service_account_email, nodes)"
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GOOGLE_APPLICATION_CREDENTIALS", "NO_GCE_CHECK")
    }
    shown = subprocess.run(
        [sys.executable, "-c", script], env={**kept, **variables}, capture_output=True, text=True
    )
    assert shown.stdout.split() == [lab.project, EMAIL, "[]"], shown.stderr


ACCOUNT = "robot@lab-project.iam.gserviceaccount.com"


@pytest.fixture
def lending(lab: GcpLab, monkeypatch: pytest.MonkeyPatch) -> GcpLab:
    """The lab, which also lends identities."""
    path = "/v1/projects/-/serviceAccounts/{}:generateAccessToken"
    monkeypatch.setattr("google.auth.iam._IAM_ENDPOINT", lab.url + path)
    return lab


def acting_as(lab: GcpLab) -> set[str]:
    """Who was lent."""
    return set(lab.tokens.acting.values())


def test_a_service_account_is_impersonated(make: MakeProvider, lending: GcpLab) -> None:
    lending.tokens.lendable.add(ACCOUNT)
    provider = make(impersonate=ACCOUNT)
    assert provider.nodes(SCOPE) == []
    assert provider.account() == lending.project
    assert acting_as(lending) == {ACCOUNT}


def test_the_file_of_an_impersonation_is_used(
    make: MakeProvider, lending: GcpLab, tmp_path: Path
) -> None:
    lending.tokens.lendable.add(ACCOUNT)
    url = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}"
    path = tmp_path / "adc.json"
    file = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": f"{url}:generateAccessToken",
        "source_credentials": lending.tokens.key_file(lending.project),
        "quota_project_id": "of-file",
    }
    path.write_text(json.dumps(file), "utf-8")
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(path)
    assert make(project=lending.project).nodes(SCOPE) == []
    assert acting_as(lending) == {ACCOUNT}
    assert set(lending.charged) == {"of-file"}


def test_an_impersonation_that_is_not_allowed_names_the_role(
    make: MakeProvider, lending: GcpLab
) -> None:
    with pytest.raises(CredentialsError, match="act for another") as caught:
        make(impersonate=ACCOUNT).nodes(SCOPE)
    assert "roles/iam.serviceAccountTokenCreator" in str(caught.value.hint)


@pytest.mark.parametrize("named", ["config", "environment"])
def test_a_quota_project_is_charged_by_every_request(
    make: MakeProvider, lab: GcpLab, named: str
) -> None:
    os.environ["GOOGLE_CLOUD_QUOTA_PROJECT"] = "who-pays"
    provider = make(credentials=str(lab.key_file)) if named == "config" else make()
    provider.destroy(provider.create(offer(), batch()).nodes)
    assert set(lab.charged) == {"who-pays"}
    assert lab.instances() == {}


def test_without_a_quota_project_none_is_named(make: MakeProvider, lab: GcpLab) -> None:
    make().nodes(SCOPE)
    assert set(lab.charged) == {""}


def test_without_any_credentials_the_command_that_helps_is_named(make: MakeProvider) -> None:
    del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    with pytest.raises(CredentialsError, match="no Google Cloud credentials found") as caught:
        make(project="lab-project").nodes(SCOPE)
    assert "gcloud auth application-default login" in str(caught.value.hint)


@pytest.mark.parametrize("content", [None, "not json", '{"type": "authorized_user"}'])
def test_a_key_file_that_is_none_is_named(
    make: MakeProvider, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CredentialsError, match=r"key\.json is not a service account's key"):
        make(credentials=str(path)).nodes(SCOPE)


def test_a_revoked_login_is_reported_with_googles_message(make: MakeProvider, lab: GcpLab) -> None:
    lab.revoke()
    with pytest.raises(CredentialsError, match="expired or revoked") as caught:
        make().nodes(SCOPE)
    assert caught.value.hint


def test_a_token_that_is_about_to_expire_is_renewed(make: MakeProvider, lab: GcpLab) -> None:
    lab.tokens.life = 5.0
    provider = make()
    provider.nodes(SCOPE)
    provider.nodes(SCOPE)
    assert len(lab.tokens.given) == 2


def test_a_token_is_used_as_long_as_it_is_valid(make: MakeProvider, lab: GcpLab) -> None:
    provider = make()
    provider.nodes(SCOPE)
    provider.nodes(SCOPE)
    assert len(lab.tokens.given) == 1
    assert min(lab.tokens.given.values()) > time.time()


def test_an_unreachable_token_service_asks_for_patience(
    make: MakeProvider, lab: GcpLab, tmp_path: Path
) -> None:
    key = {**lab.tokens.key_file(lab.project), "token_uri": "http://127.0.0.1:9/token"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key), "utf-8")
    with pytest.raises(ProviderError, match="token service"):
        make(credentials=str(path)).nodes(SCOPE)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth repeats without pauses what it repeats by itself."""
    pauses = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("google.auth._exponential_backoff.time", pauses)


OWN_TRIES = 3
"""How often google-auth itself asks for a token."""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        DROPPED,
        answer({"error": "temporarily_unavailable"}, 503),
        answer({"error": "internal_failure"}, 400),
        Reply(502, b"<html><title>502 Server Error</title></html>", "text/html"),
        Reply(408, b"null"),
        Reply(500, b"\xff\xfe"),
        Reply(429, b'{"error": "rate_limit'),
    ],
)
def test_an_outage_of_the_token_service_is_no_refusal(
    make: MakeProvider, lab: GcpLab, reply: Reply, *, first: bool
) -> None:
    provider = make()
    if not first:
        lab.tokens.life = 1.0
        provider.nodes(SCOPE)
    lab.tokens.trouble = [reply] * OWN_TRIES
    with pytest.raises(ThrottledError, match="token service"):
        provider.nodes(SCOPE)
    lab.tokens.trouble.clear()
    assert provider.nodes(SCOPE) == []


@pytest.mark.usefixtures("hasty")
async def test_an_outage_in_the_middle_of_a_run_is_sat_out(make: MakeProvider, lab: GcpLab) -> None:
    location = Location(make(), "us-central1")
    lab.tokens.life = 1.0
    assert await location.nodes(SCOPE) == []
    lab.tokens.trouble = [answer({"error": "temporarily_unavailable"}, 503)] * (3 * OWN_TRIES)
    assert await location.nodes(SCOPE) == []
    assert lab.tokens.trouble == []
    location.close()


@pytest.mark.usefixtures("hasty")
def test_a_token_service_that_says_when_to_come_back_is_left_alone_until_then(
    make: MakeProvider, lab: GcpLab
) -> None:
    busy = Reply(503, b"{}", headers={"Retry-After": "41"})
    lab.tokens.trouble = [busy] * OWN_TRIES
    with pytest.raises(ThrottledError) as caught:
        make().nodes(SCOPE)
    assert caught.value.retry_after == 41.0


DAMAGED = [
    b"",
    b"null",
    b"[]",
    b"3",
    b'{"access_token": "ya29.secret',
    b'{"expires_in": 3600}',
    b'{"access_token": null, "expires_in": 3600}',
    b'{"access_token": 5, "expires_in": 3600}',
    b'{"access_token": "two\\nlines", "expires_in": 3600}',
    b'{"access_token": "a", "expires_in": "soon"}',
    b'{"access_token": "a", "expires_in": [1]}',
    b'{"access_token": "a", "expires_in": 1e300}',
    b'{"access_token": "\xff\xfe", "expires_in": 3600}',
    b"\x80\x81",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", DAMAGED, ids=lambda body: repr(body[:30]))
def test_a_damaged_token_is_asked_for_again(make: MakeProvider, lab: GcpLab, body: bytes) -> None:
    provider = make()
    lab.tokens.trouble = [Reply(200, body)]
    with pytest.raises(ThrottledError, match="token service answered") as caught:
        provider.nodes(SCOPE)
    assert "ya29" not in caught.value.message
    assert provider.nodes(SCOPE) == []


@pytest.mark.parametrize("body", DAMAGED, ids=lambda body: repr(body[:30]))
def test_a_refusal_that_cannot_be_read_is_a_refusal(
    make: MakeProvider, lab: GcpLab, body: bytes
) -> None:
    lab.tokens.trouble = [Reply(401, body)]
    with pytest.raises(CredentialsError):
        make().nodes(SCOPE)


def test_a_sign_in_page_is_named_for_what_it_is(make: MakeProvider, lab: GcpLab) -> None:
    lab.tokens.trouble = [Reply(200, b"<!DOCTYPE html><title>Hotel Wi-Fi</title>", "text/html")]
    with pytest.raises(CredentialsError, match="a web page instead of a token") as caught:
        make().nodes(SCOPE)
    assert "proxy" in str(caught.value.hint)


@pytest.mark.parametrize("content", [b"null", b"[]", b"3", b"\xff\xfe", b'{"type": ["x"]}'])
@pytest.mark.parametrize("named", ["config", "environment"])
def test_a_damaged_file_of_credentials_is_named(
    make: MakeProvider, tmp_path: Path, content: bytes, named: str
) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    table = {"credentials": str(path)} if named == "config" else {}
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(path)
    with pytest.raises(CredentialsError):
        make(project="lab-project", **table).nodes(SCOPE)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("end", "reply", "error"),
    [
        ("/token", Reply(503, b"unavailable", "text/plain"), ThrottledError),
        ("/default/", Reply(500, b"", "text/plain"), ThrottledError),
        ("/token", Reply(200, b'{"access_token": "ya29.cut'), ThrottledError),
        ("/token", Reply(200, b"null"), ThrottledError),
        ("/token", Reply(200, b"\xff\xfe"), ThrottledError),
        ("/token", Reply(200, b'{"access_token": "a", "expires_in": "soon"}'), ThrottledError),
        ("/default/", Reply(200, b"<html>email</html>", "text/html"), CredentialsError),
        ("/token", Reply(404, b"no service account", "text/plain"), CredentialsError),
        ("/project-id", Reply(503, b"", "text/plain"), ThrottledError),
        ("/", Reply(503, b"", "text/plain"), ThrottledError),
    ],
)
def test_trouble_of_the_metadata_server_is_what_it_is(
    make: MakeProvider,
    lab: GcpLab,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    reply: Reply,
    error: type[ProviderError],
) -> None:
    del os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    host = lab.url.removeprefix("http://")
    metadata = "google.auth.compute_engine._metadata"
    monkeypatch.setattr(f"{metadata}._NO_GCE_CHECK", False)
    for name in ("HOST", "ROOT", "IP"):
        monkeypatch.setenv(f"GCE_METADATA_{name}", host)
    monkeypatch.setattr(f"{metadata}._GCE_METADATA_HOST", host)
    provider = make(project=None)
    lab.tokens.silent = {end: reply}
    with pytest.raises(error):
        provider.nodes(SCOPE)
    lab.tokens.silent.clear()
    if error is ThrottledError:
        assert provider.nodes(SCOPE) == []
        assert provider.account() == lab.project


def test_throttling_says_when_to_come_back(make: MakeProvider, lab: GcpLab) -> None:
    busy = GoogleError(503, "backendError", "Backend Error", headers={"Retry-After": "23"})
    lab.faults.answer(LIST, busy, 1)
    with pytest.raises(ThrottledError, match="Backend Error") as caught:
        make().nodes(SCOPE)
    assert caught.value.retry_after == 23.0


def test_a_project_that_is_not_there_is_named_with_the_key_to_check(make: MakeProvider) -> None:
    with pytest.raises(ProviderError, match="'projects/other-project' was not found") as caught:
        make(project="other-project").nodes(SCOPE)
    assert "provider.gcp.project" in str(caught.value.hint)


def test_the_config_outranks_the_environment_which_outranks_the_credentials(
    make: MakeProvider, lab: GcpLab
) -> None:
    os.environ["GOOGLE_CLOUD_PROJECT"] = "of-environment"
    assert make().account() == "of-environment"
    assert make(project="of-config").account() == "of-config"


def test_without_a_project_the_key_to_set_is_named(
    make: MakeProvider, lab: GcpLab, tmp_path: Path
) -> None:
    key = {k: v for k, v in lab.tokens.key_file("x").items() if k != "project_id"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key), "utf-8")
    with pytest.raises(ConfigError, match="no Google Cloud project is named"):
        make(credentials=str(path)).nodes(SCOPE)


@pytest.mark.parametrize(
    ("status", "reason", "message", "hint"),
    [
        (
            403,
            "accessNotConfigured",
            "Compute Engine API has not been used in project 42 before or it is disabled.",
            "gcloud services enable",
        ),
        (403, "forbidden", "Required 'compute.instances.list' permission", "docs/providers/gcp.md"),
        (401, "authError", "Invalid Credentials", "gcloud auth"),
        (403, "billingNotEnabled", "This API method requires billing to be enabled.", "billing"),
    ],
)
def test_a_refusal_says_googles_words_and_what_to_do(
    make: MakeProvider, lab: GcpLab, status: int, reason: str, message: str, hint: str
) -> None:
    lab.faults.refuse(LIST, status, reason, message)
    with pytest.raises(CredentialsError) as caught:
        make().nodes(SCOPE)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_the_region_comes_from_the_config_or_the_environment_or_is_the_first() -> None:
    assert GcpProvider.locations(GcpConfig()) == ("us-central1",)
    os.environ["CLOUDSDK_COMPUTE_REGION"] = "europe-west1"
    assert GcpProvider.locations(GcpConfig()) == ("europe-west1",)
    assert GcpProvider.locations(GcpConfig(regions=("a-b1",))) == ("a-b1",)


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"project": "UPPER"}, "project"),
        ({"regions": ["us-central1-a"]}, "regions"),
        ({"sizes": []}, "sizes"),
        ({"root_volume_gb": 1}, "root_volume_gb"),
        ({"zone": "x"}, "zone"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(table: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigError, match=rf"provider\.gcp\.{where}"):
        decode(table, GcpConfig, "spotdeploy.toml", "provider.gcp")


def test_without_the_extra_the_command_that_installs_it_is_named() -> None:
    script = (
        "import sys; sys.modules['google.auth'] = None\n"
        "from spotdeploy.__main__ import main\n"
        "sys.argv = ['spotdeploy', 'list', '--provider', 'gcp']\n"
        "main()"
    )
    folder = Path(os.environ["HOME"], "project")
    folder.mkdir()
    (folder / "spotdeploy.toml").write_text('deployment = "shop"\n')
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True
    )
    assert shown.returncode == 2, shown.stderr
    assert "google-auth, which is not installed" in shown.stderr
    assert "pip install 'spotdeploy[gcp]'" in shown.stderr
