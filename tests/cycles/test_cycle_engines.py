"""The reference payload on machines of each container engine, from nothing to nothing."""

from __future__ import annotations

import secrets
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy_local.engines.container import commands
from spotdeploy_local.engines.container.engine import ContainerEngine
from spotdeploy_local.layout import Layout
from tests.cycles.project import Project
from tests.providers.local.container_bench import docker_daemon

pytestmark = pytest.mark.machines


@pytest.fixture(params=["podman", "docker"])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContainerEngine]:
    """An engine with a state folder of its own. Skips the test where it does not work here."""
    monkeypatch.setenv("SPOTDEPLOY_LOCAL_STATE", str(tmp_path / "state"))
    engine = ContainerEngine(request.param, Layout.from_environment())
    if request.param == "docker":
        with docker_daemon() as socket:
            monkeypatch.setenv("DOCKER_HOST", socket)
            yield engine
    elif unfit := [problem for problem in engine.problems() if problem.fatal]:
        pytest.skip(f"{unfit[0].what} ({unfit[0].remedy})")
    else:
        yield engine


def test_the_reference_payload_passes_with_its_reboot_and_leaves_nothing(
    engine: ContainerEngine, repository: Path, tmp_path: Path
) -> None:
    deployment = f"t-{secrets.token_hex(4)}"
    with Project.opened(tmp_path / "project", deployment) as project:
        shutil.copytree(repository / "instance", project.folder / "instance", dirs_exist_ok=True)
        reference = tomllib.loads((repository / "spotdeploy.toml").read_text())
        project.config = reference | {"deployment": deployment}
        project.config["nodes"]["count"] = 2
        project.config["provider"] = {"local": {"engine": engine.program}}
        done = project.cycle("--provider", "local")
        assert done.code == 0, done
        assert f"nodes are containers of {engine.program}" in done.out + done.err
        assert len(engine.machines()) == 2
        project.config["provider"] = {"local": {"engine": "nspawn"}}
        project.write()
        assert {node["id"] for node in project.nodes()} == {one.id for one in engine.machines()}
        done = project.run("destroy")
        assert done.code == 0, done
    for listing in (commands.list_ids, commands.list_network_names):
        assert engine.cli.run(*listing(engine.layout.key)) == ""
