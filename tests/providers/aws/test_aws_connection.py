"""How AWS is reached: what other tools' files and AWS's own settings change about it."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from botocore.exceptions import EndpointProviderError, EndpointVariantError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.transport import Transport
from tests.labs.aws import AwsLab
from tests.labs.aws.proxy import Proxy
from tests.providers.aws.conftest import SCOPE, MakeProvider, url_of


@pytest.mark.parametrize(
    "netrc",
    [
        "default login anonymous password me@example.com",
        "machine 127.0.0.1 login me password not-for-aws",
    ],
)
def test_a_netrc_neither_replaces_the_signature_nor_is_sent(
    lab: AwsLab, make: MakeProvider, netrc: str
) -> None:
    path = Path(os.environ["HOME"]) / ".netrc"
    path.write_text(netrc + "\n")
    path.chmod(0o600)
    provider = make(account="123456789012")
    assert provider.nodes(SCOPE) == []
    assert provider.account() == "123456789012"
    signed = [call.headers["Authorization"].split()[0] for call in lab.calls]
    assert set(signed) == {"AWS4-HMAC-SHA256"}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company's proxy")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "company.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def secure(lab: AwsLab, certificate: Path) -> Iterator[str]:
    """The lab behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    proxy = Proxy(context.wrap_socket(listener, server_side=True), lab.cloud.handle)
    proxy.start()
    yield f"https://127.0.0.1:{port}"
    proxy.stop()


def test_the_certificates_of_aws_ca_bundle_are_trusted(
    secure: str, make: MakeProvider, certificate: Path
) -> None:
    os.environ["AWS_ENDPOINT_URL"] = secure
    with pytest.raises(ProviderError, match="certificate"):
        make().nodes(SCOPE)
    os.environ["AWS_CA_BUNDLE"] = str(certificate)
    assert make().nodes(SCOPE) == []
    assert make().account() == "123456789012"


def test_the_profiles_own_certificates_are_trusted(
    secure: str, make: MakeProvider, certificate: Path, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificate}\n")
    os.environ |= {"AWS_ENDPOINT_URL": secure, "AWS_CONFIG_FILE": str(tmp_path / "config")}
    assert make().nodes(SCOPE) == []


def test_certificates_that_are_not_there_are_named(lab: AwsLab, make: MakeProvider) -> None:
    os.environ["AWS_CA_BUNDLE"] = "/nonexistent/company.pem"
    with pytest.raises(ConfigError, match=r"/nonexistent/company\.pem"):
        make().nodes(SCOPE)


@pytest.fixture
def keys() -> None:
    """Some credentials."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_fips_and_dual_stack_endpoints_are_used_where_they_are_asked_for(keys: None) -> None:
    os.environ["AWS_USE_FIPS_ENDPOINT"] = "true"
    assert url_of(region="us-east-1") == "https://ec2-fips.us-east-1.amazonaws.com/"
    os.environ["AWS_USE_DUALSTACK_ENDPOINT"] = "true"
    assert url_of(region="us-east-1") == "https://ec2-fips.us-east-1.api.aws/"
    os.environ["AWS_USE_FIPS_ENDPOINT"] = "false"
    assert url_of(region="eu-west-1") == "https://ec2.eu-west-1.api.aws/"


@pytest.mark.parametrize(
    "refusal",
    [
        EndpointProviderError(msg="DualStack is enabled but this partition does not support it"),
        EndpointVariantError(tags=["dualstack"]),
    ],
)
def test_an_endpoint_of_a_kind_that_a_partition_lacks_is_a_mistake_in_the_config(
    refusal: Exception,
) -> None:
    with (
        pytest.raises(ConfigError, match=r"(?i)dualstack") as caught,
        Transport("https://ec2").call("DescribeRegions in us-x-1", repeatable=True),
    ):
        raise refusal
    assert "AWS_USE_DUALSTACK_ENDPOINT" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("eusc-de-east-1", "amazonaws.eu"),
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-iso-east-1", "c2s.ic.gov"),
        ("eu-west-1", "amazonaws.com"),
    ],
)
def test_the_regions_of_all_partitions_are_taken(keys: None, region: str, domain: str) -> None:
    config = decode({"regions": [region]}, AwsConfig, "spotdeploy.toml", "provider.aws")
    assert url_of(region=config.regions[0]) == f"https://ec2.{region}.{domain}/"
