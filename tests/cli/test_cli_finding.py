"""Commands in a folder below the config, and with another deployment's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import run as spotdeploy


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "spotdeploy.toml").write_text(
        'deployment = "demo"\nproviders = ["fake"]\n[payload]\nentry = "entry.sh"\n'
    )
    (tmp_path / "instance" / "scripts").mkdir(parents=True)
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    return tmp_path


def test_a_config_above_is_used_and_named_beside_the_data(project: Path) -> None:
    done = spotdeploy(project / "instance" / "scripts", "config", "--json")
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["config"]["deployment"] == "demo"
    assert done.stderr == "config: ../../spotdeploy.toml\n"


def test_one_that_is_named_is_not_looked_for(project: Path) -> None:
    done = spotdeploy(project / "instance", "config", "--config", "spotdeploy.toml")
    assert done.returncode == 2
    assert "spotdeploy.toml does not exist" in done.stderr


def test_its_own_config_is_used_in_silence(project: Path) -> None:
    assert spotdeploy(project, "config").stderr == ""


def test_a_config_above_that_anyone_can_write_is_refused(project: Path) -> None:
    project.chmod(0o777)
    done = spotdeploy(project / "instance", "list")
    assert done.returncode == 2
    assert "is not used unasked" in done.stderr
    assert "--config" in done.stderr


def test_another_deployments_name_is_that_of_the_run_and_its_hints(project: Path) -> None:
    done = spotdeploy(project, "config", "--deployment", "ci-7")
    assert 'deployment = "ci-7"' in done.stdout
    assert "# --deployment" in done.stdout
    done = spotdeploy(project, "destroy", "--deployment", "ci-7", "--json")
    assert json.loads(done.stdout)["deployment"] == "ci-7"
    assert (project / ".spotdeploy" / "journal.db").exists()
    assert spotdeploy(project, "history").stdout == "no runs\n"
    assert "destroy" in spotdeploy(project, "history", "--deployment", "ci-7").stdout


def test_a_name_that_is_none_is_refused_by_its_option(project: Path) -> None:
    done = spotdeploy(project, "list", "--deployment", "CI 7")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --deployment: deployment: should be lower case letters")
