"""The whole of `spotdeploy cycle --provider gcp`: real command, real machines, no cloud."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spotdeploy_local.layout import Layout
from spotdeploy_local.nspawn import NspawnEngine
from tests.cycles.project import COMMAND, PATIENCE, Done, Project, eventually
from tests.labs.gcp import MachineLab
from tests.labs.gcp.faults import QUOTA

pytestmark = [pytest.mark.machines, pytest.mark.timeout(600)]


class InLab(Project):
    """A project whose commands run within the lab."""

    lab: MachineLab

    def run(self, *arguments: str) -> Done:
        """Run a command in the lab's network, to its end."""
        done = subprocess.run(
            [*self.lab.place.enter, *COMMAND, *arguments],
            cwd=self.folder, env=self.lab.client_environment,
            capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[MachineLab]:
    """A lab whose end proves that nothing is left, in the cloud or on this host."""
    engine = NspawnEngine(Layout(tmp_path / "engine", Path("/var/cache/spotdeploy")))
    engine.prepare(print)
    with MachineLab(tmp_path, engine, f"gcp-{secrets.token_hex(3)}") as lab:
        yield lab
        assert lab.wrong == []
        assert lab.hypervisor.failures == []
        assert (lab.instances(), lab.cloud.disks, lab.cloud.firewalls) == ({}, {}, {})
    assert engine.machines() == []
    assert engine.leftovers() == []


@pytest.fixture
def project(tmp_path: Path, lab: MachineLab) -> Iterator[InLab]:
    """A project that goes to GCP."""
    folder = tmp_path / "project"
    project = InLab(folder, f"t-{secrets.token_hex(4)}")
    project.lab = lab
    gcp: dict[str, Any] = {**lab.table, "sizes": ["e2-small"]}
    project.config |= {"providers": ["gcp"], "provider": {"gcp": gcp}, "keep": "never"}
    project.config["nodes"]["count"] = 2
    project.config["payload"]["reboot"] = True
    yield project
    project.write()
    done = project.run("destroy")
    assert done.code == 0, done


def test_a_gcp_cycle_passes_and_leaves_nothing(project: InLab, lab: MachineLab) -> None:
    done = project.cycle()
    assert done.code == 0, done
    assert "passed" in done.out
    assert lab.methods().count("instances.bulkInsert") == 1
    assert lab.instances() == {}


def test_a_gcp_cycle_walks_on_when_a_zone_is_exhausted(project: InLab, lab: MachineLab) -> None:
    lab.faults.limit(1, zone="us-central1-a")
    project.config["keep"] = "passing"
    done = project.cycle()
    assert done.code == 0, done
    zones = {one.zone for one in lab.cloud.living()}
    assert zones == {"us-central1-a", "us-central1-b"}


def test_a_gcp_cycle_survives_a_lost_answer_and_throttling(project: InLab, lab: MachineLab) -> None:
    lab.faults.lose_reply("compute.instances.bulkInsert")
    lab.faults.throttle("compute.instances.aggregatedList", times=3)
    project.config["nodes"]["count"] = 1
    project.config["payload"]["reboot"] = False
    done = project.cycle()
    assert done.code == 0, done
    assert len(lab.cloud.instances) == 1


def test_a_preempted_gcp_node_is_never_blamed_on_the_payload(
    project: InLab, lab: MachineLab
) -> None:
    project.entry("sleep 120")
    project.config["nodes"]["count"] = 1
    with ThreadPoolExecutor(1) as threads:
        cycle = threads.submit(project.cycle)
        eventually(lambda: "RUNNING" in lab.instances().values(), "a node runs", PATIENCE)
        lab.forget_calls()
        listed = "instances.aggregatedList"
        eventually(lambda: lab.methods().count(listed) >= 2, "the node is seen", PATIENCE)
        lab.preempt(next(iter(lab.instances())))
        done = cycle.result()
    assert done.code == 3, done
    assert "preempted" in done.out + done.err


def test_a_gcp_cycle_without_quota_is_an_infrastructure_failure_in_googles_words(
    project: InLab, lab: MachineLab
) -> None:
    lab.faults.limit(0, trouble=QUOTA)
    done = project.cycle()
    assert done.code == 3, done
    assert "Quota 'CPUS' exceeded" in done.out + done.err
