"""Credentials go to the clouds' own hosts and to this computer, whatever a config says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import requests

from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.provider import ProviderConfig
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_libcloud.transport import guard_session, require_address

KEYS: dict[str, tuple[type[ProviderConfig], str]] = {
    "provider.aws.endpoint": (AwsConfig, "AWS_ENDPOINT_URL_EC2"),
    "provider.gcp.endpoint": (GcpConfig, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"),
    "provider.gcp.price_service": (GcpConfig, "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING"),
    "provider.azure.endpoint": (AzureConfig, "SPOTDEPLOY_PROVIDER_AZURE_ENDPOINT"),
    "provider.azure.login_endpoint": (AzureConfig, "AZURE_AUTHORITY_HOST"),
}
OWN = {
    "provider.aws.endpoint": [
        "https://ec2.eu-west-3.amazonaws.com",
        "https://ec2-fips.us-gov-west-1.amazonaws.com:443/",
        "https://ec2.cn-north-1.amazonaws.com.cn",
        "https://ec2.us-iso-east-1.c2s.ic.gov",
        "https://ec2.eusc-de-east-1.amazonaws.eu",
        "https://ec2.ap-south-1.api.aws",
        "https://vpce-0a1b-x2y.ec2.us-east-1.vpce.amazonaws.com",
        "https://vpce-0a1b-x2y-us-east-1a.ec2.us-east-1.vpce.amazonaws.com",
    ],
    "provider.gcp.endpoint": [
        "https://compute.googleapis.com",
        "https://compute-mine.p.googleapis.com",
        "https://compute.europe-west3.rep.googleapis.com",
        "https://restricted.googleapis.com",
        "https://compute.s3nsapis.fr",
        "https://compute.apis-berlin-build0.goog",
    ],
    "provider.gcp.price_service": ["https://cloudbilling.googleapis.com"],
    "provider.azure.endpoint": [
        "https://management.azure.com/",
        "https://westeurope.management.azure.com",
        "https://management.chinacloudapi.cn",
        "https://management.usgovcloudapi.net",
        "https://management.sovcloud-api.de",
    ],
    "provider.azure.login_endpoint": [
        "https://login.microsoftonline.com",
        "https://login.microsoftonline.us",
        "https://login.partner.microsoftonline.cn/",
        "https://login.sovcloud-identity.fr",
    ],
}
FOREIGN = [
    "https://evil.example",
    "http://192.0.2.7",
    "https://{own}.evil.example",
    "https://evil{own}",
    "https://{own}@evil.example",
    "https://evil.example#@{own}",
    "https://evil.example\\.{own}",
    "https://localhost.evil.example",
    "https://127.0.0.1.evil.example",
    "https://localhost@evil.example",
    "http://{own}",
    "https://{own}:8443",
]
CUSTOMERS = {
    "provider.aws.endpoint": [
        "https://x1.execute-api.us-east-1.amazonaws.com",
        "https://ec2.s3.amazonaws.com",
        "https://ec2-192-0-2-1.compute-1.amazonaws.com",
        "https://ec2.x.s3.us-east-1.amazonaws.com",
        "https://vpce-0a1b.vpce-svc-0c2d.us-east-1.vpce.amazonaws.com",
    ],
    "provider.gcp.endpoint": [
        "https://compute.storage.googleapis.com",
        "https://compute-x.storage.googleapis.com",
        "https://compute-x.appspot.com",
    ],
    "provider.gcp.price_service": ["https://compute.googleapis.com"],
    "provider.azure.endpoint": [
        "https://management.westeurope.cloudapp.azure.com",
        "https://x.y.management.azure.com",
        "https://management.azurewebsites.net",
    ],
    "provider.azure.login_endpoint": ["https://x.ciamlogin.com", "https://x.b2clogin.com"],
}


def read(key: str, url: str) -> ProviderConfig:
    _, name, last = key.split(".")
    return decode({last: url}, KEYS[key][0], "spotdeploy.toml", f"provider.{name}")


@pytest.mark.parametrize("key", KEYS)
def test_a_config_may_name_the_clouds_own_hosts_and_this_computer(key: str) -> None:
    here = ["http://127.0.0.1:5000", "https://localhost:5000/x", "http://[::1]:80"]
    for url in [*OWN[key], *here]:
        assert getattr(read(key, url), key.rpartition(".")[2]) == url


@pytest.mark.parametrize("key", KEYS)
def test_a_config_may_name_no_other_host_by_any_trick_of_spelling(key: str) -> None:
    own = str(OWN[key][0]).removeprefix("https://").strip("/")
    for url in [*(one.replace("{own}", own) for one in FOREIGN), *CUSTOMERS[key]]:
        with pytest.raises(ConfigError) as caught:
            read(key, url)
        assert key in caught.value.message
        assert repr(url) in caught.value.message


@pytest.mark.parametrize("key", KEYS)
def test_a_refused_host_comes_with_the_variable_that_may_name_it(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(key, "https://stack.example.org")
    assert KEYS[key][1] in str(caught.value.hint)


@pytest.fixture
def listener() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer(self)

            do_GET = do_POST  # noqa: N815  # of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_nothing_along(
    status: int, listener: Callable[[Callable[[BaseHTTPRequestHandler], None]], str]
) -> None:
    reached: list[str] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        reached.append(request.path)
        request.send_response(200)
        request.end_headers()

    there = listener(elsewhere)

    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        request.send_response(status, http.client.responses[status])
        request.send_header("Location", f"{there}/taken")
        request.send_header("Content-Length", "0")
        request.end_headers()

    with requests.Session() as session:
        guard_session(SimpleNamespace(session=session))
        with pytest.raises(ProviderError, match=r"redirects to .* not followed"):
            session.post(listener(redirect), data={"client_secret": "s3cr3t-value"})
    assert reached == []


@pytest.mark.parametrize("url", ["ftp://evil.example", "file:///etc/passwd", "https://x:99999"])
def test_what_is_no_http_url_is_refused_where_it_would_be_used(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    scope = {"spotdeploy-deployment": "demo"}
    with pytest.raises(ConfigError, match=r"not an http|no endpoint|Invalid endpoint"):
        AwsProvider(AwsConfig(endpoint=url), "us-east-1").nodes(scope)
    with pytest.raises(ConfigError, match="not an http"):
        AzureProvider(AzureConfig(endpoint=url), "eastus").nodes(scope)
    with pytest.raises(ProviderError, match="not an http"):
        require_address(GcpConfig(endpoint=url).api)
