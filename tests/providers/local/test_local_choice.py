"""Which engine makes machines here, and that none is forgotten."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError, HostError, ProviderError
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import Machine, MachineState, Started
from spotdeploy_local.engines.choice import LocalEngines, choose
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.engines.nspawn.engine import NspawnEngine
from spotdeploy_local.layout import Layout


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, *programs: str) -> None:
    for program in programs:
        (folder / program).write_text("#!/bin/sh\nexit 1\n")
        (folder / program).chmod(0o755)


HERE = Layout(Path("/var/lib/spotdeploy/local"), Path("/var/cache/spotdeploy"))
NSPAWN = ("systemd-nspawn", "mmdebstrap", "ip", "nsenter")


def test_what_gives_most_is_taken_and_the_reason_is_told(path: Path) -> None:
    assert choose("auto", HERE, image="debian-12") == ("nspawn", "none is here")
    install(path, "docker")
    name, reason = choose("auto", HERE, image="debian-12")
    assert name == "docker"
    assert "missing on this host: systemd-nspawn" in reason
    install(path, "podman")
    assert choose("auto", HERE, image="debian-12")[0] == "podman"
    install(path, *NSPAWN)
    assert choose("auto", HERE, image="debian-12") == ("nspawn", "it gives most")
    assert choose("auto", HERE, image="fedora-43") == (
        "podman",
        "systemd-nspawn cannot be had: it cannot have the image fedora-43",
    )
    assert choose("docker", HERE, image="fedora-43") == ("docker", "as the config says")


def test_a_node_with_an_engine_of_its_own_is_no_machine_of_nspawn(path: Path) -> None:
    install(path, *NSPAWN, "podman")
    name, reason = choose("auto", HERE, image="debian-12", nested=True)
    assert (name, reason.endswith("it has no disk for engines in its nodes")) == ("podman", True)
    with pytest.raises(ConfigError, match=r"provider\.local\.nested"):
        choose("nspawn", HERE, image="debian-12", nested=True)


def test_an_engine_that_cannot_boot_here_is_passed_over_for_one_that_can(path: Path) -> None:
    install(path, "podman", "docker")
    answer = {
        "ServerVersion": "27.0",
        "OperatingSystem": "Debian",
        "CgroupVersion": "2",
        "MemTotal": 1,
    }
    (path / "docker").write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    assert choose("auto", HERE, image="debian-12")[0] == "docker"


def test_a_computer_that_is_no_linux_gets_a_container_engine(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(path, *NSPAWN, "docker")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert choose("auto", HERE, image="debian-12")[0] == "docker"


def test_nspawn_is_refused_an_image_that_it_cannot_build() -> None:
    with pytest.raises(ConfigError, match=r"provider\.local\.image: 'fedora-43' is no image"):
        choose("nspawn", HERE, image="fedora-43")


def test_the_config_s_keys_reach_the_engine(tmp_path: Path) -> None:
    config = LocalConfig(engine="podman", image="debian-13")
    chosen = LocalEngines(Layout(tmp_path, tmp_path), config.engine, config.image).chosen
    assert isinstance(chosen, ContainerEngine)
    assert (chosen.program, chosen.image, chosen.reason) == (
        "podman",
        "debian-13",
        "as the config says",
    )


def test_machines_of_an_engine_that_the_config_names_no_more_are_listed_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache")
    there = {"old": Machine("old", "old", MachineState.RUNNING, "n", "10.78.1.2", (), {}, 1.0)}

    def end(_: ContainerEngine, ids: Sequence[str]) -> None:
        for one in ids:
            there.pop(one, None)

    monkeypatch.setattr(ContainerEngine, "machines", lambda _: list(there.values()))
    monkeypatch.setattr(ContainerEngine, "destroy", end)
    monkeypatch.setattr(ContainerEngine, "console", lambda _, machine: f"console of {machine}")
    monkeypatch.setattr(NspawnEngine, "start_all", lambda *_: Started((), {}))
    engines = LocalEngines(layout, "nspawn")
    assert engines.machines() == []
    layout.mark_used("podman")
    assert [one.id for one in engines.machines()] == ["old"]
    assert engines.console("old") == "console of old"

    def stuck(_: NspawnEngine, ids: Sequence[str]) -> None:
        raise ProviderError(f"the processes of {ids[0]} do not end")

    monkeypatch.setattr(NspawnEngine, "destroy", stuck)
    with pytest.raises(ProviderError, match="do not end"):
        engines.destroy(["old", "never-was"])
    assert engines.machines() == []


def test_an_engine_that_is_gone_but_had_machines_here_is_no_proof_that_they_are(
    tmp_path: Path, path: Path
) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache")
    layout.mark_used("docker")
    with pytest.raises(HostError, match="docker is missing; machines were made with it here") as no:
        LocalEngines(layout).machines()
    assert str(layout.used) in (no.value.hint or "")
