"""A user's ~/.netrc is for other programs: no cloud is ever sent what is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.labs.azure import AzureLab
from tests.labs.clouds import AZURE, GCP, AnyLab, Cloud
from tests.labs.gcp import GcpLab
from tests.labs.http_server import Handler
from tests.labs.lab_user import SCOPE


@contextmanager
def opened(cloud: Cloud, folder: Path) -> Iterator[AnyLab]:
    with GcpLab(folder) if cloud is GCP else AzureLab() as lab:
        yield lab


@pytest.mark.parametrize("cloud", [GCP, AZURE], ids=lambda cloud: cloud.name)
@pytest.mark.parametrize(
    "netrc", ["default login me password hunter2", "machine 127.0.0.1 login me password hunter2"]
)
def test_a_netrc_neither_replaces_the_token_nor_is_sent(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, netrc: str
) -> None:
    path = Path(os.environ["HOME"]) / ".netrc"
    path.write_text(netrc + "\n")
    path.chmod(0o600)
    sent: list[str] = []
    body = Handler.body

    def noted(handler: Handler) -> bytes:
        sent.append(handler.headers.get("Authorization", ""))
        return body(handler)

    monkeypatch.setattr(Handler, "body", noted)
    with opened(cloud, tmp_path) as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        assert cloud.open(lab).nodes(SCOPE) == []
    assert any(one.startswith("Bearer ") for one in sent)
    assert not any(one.startswith("Basic ") for one in sent)
