"""The whole of `spotdeploy cycle --provider azure`: real command, real machines, no cloud."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdeploy_local.layout import Layout
from spotdeploy_local.nspawn import NspawnEngine
from tests.cycles.project import COMMAND, PATIENCE, Done, Project
from tests.labs.azure import MachineLab
from tests.labs.azure.faults import QUOTA

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]
SIZES = ["Standard_D2as_v5", "Standard_D2s_v5"]


class InLab(Project):
    """A project whose commands run within the lab."""

    lab: MachineLab

    def run(self, *arguments: str) -> Done:
        """Run a command in the lab's network, to its end."""
        done = subprocess.run(
            [*self.lab.place.enter, *COMMAND, *arguments],
            cwd=self.folder, env=self.lab.client_environment,
            capture_output=True, text=True, timeout=3 * PATIENCE, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[MachineLab]:
    """A lab whose end proves that nothing is left, in the cloud or on this host."""
    engine = NspawnEngine(Layout(tmp_path / "engine", Path("/var/cache/spotdeploy")))
    engine.prepare(print)
    with MachineLab(engine, f"azure-{secrets.token_hex(3)}") as lab:
        yield lab
        assert lab.wrong == []
        assert lab.hypervisor.failures == []
        assert lab.remains() == []
    assert engine.machines() == []
    assert engine.leftovers() == []


@pytest.fixture
def project(tmp_path: Path, lab: MachineLab) -> Iterator[InLab]:
    """A project that goes to Azure."""
    project = InLab(tmp_path / "project", f"t-{secrets.token_hex(4)}")
    project.lab = lab
    azure: dict[str, Any] = {**lab.table, "sizes": SIZES}
    project.config |= {"providers": ["azure"], "provider": {"azure": azure}, "keep": "never"}
    project.config["nodes"]["count"] = 2
    project.config["payload"]["reboot"] = True
    yield project
    project.write()
    done = project.run("destroy")
    assert done.code == 0, done


def test_an_azure_cycle_passes_and_leaves_nothing(project: InLab, lab: MachineLab) -> None:
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert lab.operations().count("PUT deployments") == 1
    assert lab.operations().count("DELETE resourcegroups") == 1
    assert lab.remains() == []


def test_an_azure_cycle_walks_on_when_a_size_is_sold_out(project: InLab, lab: MachineLab) -> None:
    lab.faults.limit(1, size=SIZES[0])
    project.config["keep"] = "passing"
    done = project.cycle()
    assert done.code == 0, done
    assert {one.size for one in lab.cloud.machines.values()} == set(SIZES)
    assert len(lab.cloud.groups) == 1


def test_an_azure_cycle_without_quota_is_an_infrastructure_failure_in_azures_words(
    project: InLab, lab: MachineLab
) -> None:
    lab.faults.limit(0, trouble=QUOTA, preflight=True)
    done = project.cycle()
    assert done.code == 3, done
    assert "Current Limit: 3, Current Usage: 2" in done.out + done.err


def test_an_azure_cycle_with_an_expired_secret_says_what_to_do(
    project: InLab, lab: MachineLab
) -> None:
    lab.revoke()
    done = project.cycle()
    assert done.code == 3, done
    assert "The secret keys are expired" in done.err
    assert "az ad app credential reset" in done.err
    lab.restore()
