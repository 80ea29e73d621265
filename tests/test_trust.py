"""What a command trusts: each is run in a folder of somebody else's, and held to docs/trust.md."""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from spotdeploy.cli import COMMANDS

PAGE = Path(__file__).parents[1] / "docs" / "trust.md"
SPOTDEPLOY = (str(Path(sys.executable).with_name("spotdeploy")),)
AS_MODULE = (sys.executable, "-m", "spotdeploy")
FOREIGN = "collector.example"
SECRET = "the-users-own-secret"
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "init": ("new",),
    "ssh": ("demo-1", "true"),
    "debug": ("demo-1",),
    "run": ("--", "true"),
    "diff": ("last", "last"),
    "access": ("export", "access.json"),
}
LURES = (
    *("ipaddress", "json", "tomllib", "msgspec", "typer", "asyncio", "sqlite3", "typing"),
    *("spotdeploy_aws", "botocore", "sitecustomize", "usercustomize", "conftest", "setup"),
)
"""Modules that Python or a tool would take from the current folder, if it looked there."""
LOGIN = f"""
[provider.azure]
tenant = "11111111-2222-3333-4444-555555555555"
client_id = "11111111-2222-3333-4444-555555555556"
subscription = "11111111-2222-3333-4444-555555555557"
client_secret = "file:~/.ssh/id_ed25519"
login_endpoint = "https://{FOREIGN}"
"""
HOSTILE = {
    "azure login": ("azure", LOGIN),
    "azure": ("azure", f'[provider.azure]\nendpoint = "http://{FOREIGN}"\n'),
    "aws": ("aws", f'[provider.aws]\nregions = ["us-east-1"]\nendpoint = "http://{FOREIGN}"\n'),
    "gcp": ("gcp", f'[provider.gcp]\nproject = "lab-project"\nendpoint = "http://{FOREIGN}"\n'),
    "gcp prices": (
        "gcp",
        f'[provider.gcp]\nproject = "lab-project"\nprice_service = "http://{FOREIGN}"\n',
    ),
    "gcp key": ("gcp", '[provider.gcp]\nproject = "lab-project"\ncredentials = "key.json"\n'),
}


class Recorder(socketserver.ThreadingTCPServer):
    """A proxy that lets nothing out and keeps what it was given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    server: Recorder

    def handle(self) -> None:
        self.request.settimeout(0.5)
        text = b""
        try:
            while part := self.request.recv(65536):
                text += part
                if b"\r\n\r\n" in text:
                    break
        except TimeoutError:
            pass
        self.server.heard.append(text.decode("latin-1"))
        self.wfile.write(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository of somebody else's. Whatever of it is run says so in a file."""
    folder = tmp_path / "repository"
    (folder / "instance").mkdir(parents=True)
    (folder / "instance" / "deploy.sh").write_text("#!/bin/sh\n")
    for name in (*LURES, "plugin"):
        mark = f"open({str(tmp_path / f'ran-{name}')!r}, 'w')\n"
        (folder / f"{name}.py").write_text(mark)
        (folder / "instance" / f"{name}.py").write_text(mark)
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "id_ed25519").write_text(SECRET)
    table = f'[provider.fake]\nstate = "{tmp_path / "cloud.json"}"\n'
    table += '[before]\ncommands = ["touch ../ran-before"]\n'
    config(folder, "fake", table, plugins='["./plugin.py"]')
    return folder


def config(folder: Path, provider: str, more: str, plugins: str = "[]") -> None:
    (folder / "spotdeploy.toml").write_text(
        f'deployment = "demo"\nproviders = ["{provider}"]\nplugins = {plugins}\n'
        '[nodes]\nallow_from = ["192.0.2.0/24"]\n[timeouts]\nboot = "1s"\ndestroy = "2s"\n'
        f'[payload]\npath = "instance"\nentry = "deploy.sh"\n{more}'
    )


def run(
    folder: Path,
    command: str,
    program: tuple[str, ...] = SPOTDEPLOY,
    environment: Mapping[str, str] = {},  # never changed
) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "HOME": str(folder.parent / "home"), **environment}
    return subprocess.run(
        [*program, command, *ARGUMENTS.get(command, ())],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ran(folder: Path) -> set[str]:
    return {file.name.removeprefix("ran-") for file in folder.parent.glob("ran-*")}


def page() -> dict[str, list[str]]:
    """The commands of the page's table, each with its other cells."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def test_the_page_has_every_command() -> None:
    assert list(page()) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_of_a_foreign_folder_what_the_page_says(folder: Path, command: str) -> None:
    done = run(folder, command)
    assert "Traceback" not in done.stderr, done
    runs = page()[command][0]
    expected = {"plugin"} if runs.startswith("`plugins`") else set()
    expected |= {"before"} if "`[before]`" in runs else set()
    assert ran(folder) == expected, done


@pytest.mark.parametrize("command", ["list", "history", "destroy", "config"])
def test_the_module_runs_no_more_of_it_than_the_command(folder: Path, command: str) -> None:
    done = run(folder, command, AS_MODULE)
    assert ran(folder) == set(), done


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("command", ["list", "plan", "doctor", "destroy", "cycle", "reap"])
def test_no_command_sends_anything_to_a_host_that_a_config_names(
    folder: Path, recorder: Recorder, hostile: str, command: str
) -> None:
    provider, table = HOSTILE[hostile]
    config(folder, provider, table)
    (folder / "key.json").write_text(json.dumps(service_account(f"https://{FOREIGN}/token")))
    done = run(folder, command, environment=credentials(recorder))
    assert done.returncode in (2, 3), done
    told = done.stdout + done.stderr
    assert FOREIGN in told
    assert "try: " in told
    assert not [text for text in recorder.heard if FOREIGN in text or SECRET in text]


@pytest.mark.parametrize("command", ["plan", "doctor", "schema", "list"])
def test_a_config_above_that_anybody_could_have_put_there_is_not_used(
    folder: Path, command: str
) -> None:
    (folder / ".git").mkdir()
    folder.chmod(0o777)
    done = run(folder / "instance", command)
    assert done.returncode == 2, done
    assert "is not used unasked" in done.stderr
    assert ran(folder) == set()
    folder.chmod(0o755)
    done = run(folder / "instance", command)
    assert "config: ../spotdeploy.toml\n" in done.stderr
    assert ran(folder) == (set() if command == "list" else {"plugin"})


@pytest.mark.parametrize("command", ["cycle", "destroy", "history", "list"])
def test_a_state_folder_that_a_config_names_is_written_to_in_its_own_place_only(
    folder: Path, command: str
) -> None:
    home = folder.parent / "home"
    text = (folder / "spotdeploy.toml").read_text()
    (folder / "spotdeploy.toml").write_text('state = "~/.ssh"\n' + text)
    done = run(folder, command)
    assert "Traceback" not in done.stderr, done
    below = [path.relative_to(home / ".ssh").parts[0] for path in (home / ".ssh").rglob("*")]
    assert set(below) <= {"id_ed25519", ".spotdeploy"}
    assert (home / ".ssh" / "id_ed25519").read_text() == SECRET


def test_a_host_that_the_environment_names_is_asked(folder: Path, recorder: Recorder) -> None:
    config(folder, "aws", '[provider.aws]\nregions = ["us-east-1"]\n')
    variables = credentials(recorder) | {"AWS_ENDPOINT_URL_EC2": f"http://{FOREIGN}"}
    run(folder, "list", environment=variables)
    assert [text for text in recorder.heard if f"http://{FOREIGN}" in text]


def credentials(recorder: Recorder) -> dict[str, str]:
    """Credentials of every cloud, and a way out that leads nowhere."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
        "HTTP_PROXY": recorder.url,
        "HTTPS_PROXY": recorder.url,
        "http_proxy": recorder.url,
        "https_proxy": recorder.url,
        "NO_PROXY": "",
        "no_proxy": "",
    }


def service_account(token_uri: str) -> dict[str, str]:
    """A key file of Google's with a key that nobody uses."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "lab-project",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "robot@lab-project.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }
