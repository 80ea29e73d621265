"""The check `http` over TLS, with real certificates."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spotdeploy.check import CheckResult
from spotdeploy.config.load import decode
from spotdeploy.model import Manifest
from spotdeploy_checks.answer import LIMIT
from spotdeploy_checks.http import HttpCheck
from tests.plugins.checks.here import NODE, Here, Talk, says

pytestmark = pytest.mark.enable_socket
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Certificate:
    """A certificate and its key, in one file; signed by another or by itself."""

    file: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name


def issue(file: Path, *names: str, by: Certificate | None = None, until: int = 2100) -> Certificate:
    """Make a certificate for these names; without one, it is for signing."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file.stem)])
    end = datetime.datetime(until, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.name if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(alternative, critical=False)
    made = builder.sign(by.key if by else key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(pem) + private)
    return Certificate(file, key, name)


@dataclass
class Served:
    """A server of TLS on this computer."""

    folder: Path
    port: int
    names: list[str | None]
    """What clients called it (SNI)."""

    async def get(self, **keys: object) -> CheckResult:
        """Ask the check once."""
        table = {"type": "http", "scheme": "https", "port": self.port, **keys}
        check = HttpCheck(decode(table, HttpCheck.Settings, "spotdeploy.toml"), self.folder)
        assert check.objection(Manifest(())) == ""
        return await check.run(NODE, Here())


@asynccontextmanager
async def serving(certificate: Certificate, talk: Talk) -> AsyncIterator[Served]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file)
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except ConnectionError:
            return  # the client has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
    try:
        yield Served(certificate.file.parent, server.sockets[0].getsockname()[1], names)
    finally:
        server.close()
        await asyncio.sleep(0)


@pytest.fixture
def authority(tmp_path: Path) -> Certificate:
    return issue(tmp_path / "authority.pem")


@pytest.fixture
async def served(tmp_path: Path, authority: Certificate) -> AsyncIterator[Served]:
    certificate = issue(tmp_path / "server.pem", "shop.example", by=authority)
    async with serving(certificate, says(FINE)) as server:
        yield server


@pytest.mark.parametrize("side", ["node", "here"])
async def test_a_certificate_of_ones_own_authority_and_the_right_name_pass(
    served: Served, side: str
) -> None:
    keys = {"ca": "authority.pem", "host": "shop.example", "contains": "fine", "from": side}
    result = await served.get(**keys)
    assert result.ok, result
    assert served.names == ["shop.example"]


async def test_the_servers_own_certificate_may_be_the_one_that_is_trusted(served: Served) -> None:
    assert (await served.get(ca="server.pem", host="shop.example")).ok


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"host": "shop.example"}, "its certificate is not accepted: unable to get local issuer"),
        ({"ca": "authority.pem"}, "its certificate is not accepted: Hostname mismatch"),
        ({"ca": "other.pem", "host": "shop.example"}, "its certificate is not accepted"),
    ],
)
async def test_another_authority_or_name_fails_and_says_so(
    served: Served, keys: dict[str, object], message: str
) -> None:
    issue(served.folder / "other.pem")
    result = await served.get(**keys)
    assert (result.ok, result.final) == (False, False)
    assert message in result.detail
    assert (await served.get(verify=False)).ok


async def test_a_certificate_that_has_run_out_fails(tmp_path: Path, authority: Certificate) -> None:
    old = issue(tmp_path / "old.pem", "localhost", by=authority, until=2021)
    async with serving(old, says(FINE)) as server:
        assert "certificate has expired" in (await server.get(ca="authority.pem")).detail


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad\r\n\r\nSSH-2.0-x\r\n", b"\x16\x03\x01"])
async def test_a_server_that_speaks_no_tls_fails_and_says_so(served: Served, answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        served.port = server.sockets[0].getsockname()[1]
        result = await served.get(verify=False)
    assert not result.ok
    assert "it does not speak TLS with us" in result.detail


async def test_who_asks_a_server_of_tls_in_the_clear_is_told_what_to_set(served: Served) -> None:
    result = await served.get(scheme="http")
    assert not result.ok
    assert 'scheme = "https"' in result.detail


async def test_an_answer_over_tls_is_bounded_too(tmp_path: Path) -> None:
    certificate = issue(tmp_path / "own.pem", "localhost")
    endless = says(b"HTTP/1.1 200 OK\r\n\r\nneedle", b"z" * 3 * LIMIT)
    async with serving(certificate, endless) as server:
        assert (await server.get(ca="own.pem", contains="needle")).ok
        assert f"first {LIMIT} bytes" in (await server.get(ca="own.pem", contains="pin")).detail


async def test_a_server_that_stops_in_the_handshake_fails_in_time(served: Served) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        served.port = server.sockets[0].getsockname()[1]
        assert "no answer within 0.2s" in (await served.get(verify=False, timeout="200ms")).detail


def test_a_file_of_certificates_that_is_none_is_refused_at_plan(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name, message in (("gone.pem", "does not exist"), ("empty.pem", "has no certificates")):
        table = {"type": "http", "scheme": "https", "port": 1, "ca": name}
        check = HttpCheck(decode(table, HttpCheck.Settings, "spotdeploy.toml"), tmp_path)
        assert message in check.objection(Manifest(()))
        assert check.files() == (tmp_path / name,)
