"""A colleague's computer, which is given access to nodes of a cloud that it did not make."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import PATIENCE
from tests.labs.clouds import AnyMachineLab, Cloud
from tests.labs.lab_project import LabProject, assert_as_published
from tests.labs.machine_network import MachineNetwork

pytestmark = [pytest.mark.machines, pytest.mark.timeout(4 * PATIENCE)]


@pytest.fixture
def lab(cloud: Cloud, tmp_path: Path, machine_network: MachineNetwork) -> Iterator[AnyMachineLab]:
    with cloud.lab(tmp_path, machine_network) as lab:
        yield lab
        assert_as_published(lab)
        assert lab.remains() == []


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"], indirect=True)
def test_what_one_computer_made_another_one_verifies_enters_and_destroys(
    cloud: Cloud, lab: AnyMachineLab, tmp_path: Path
) -> None:
    name, tables = f"t-{secrets.token_hex(4)}", {cloud.name: cloud.table(lab)}
    (tmp_path / "anna").mkdir()
    (tmp_path / "ben").mkdir()
    file = str(tmp_path / "access.json")
    with (
        LabProject.opened(tmp_path / "anna", name, [lab], tables, tmp_path / "home-a") as anna,
        LabProject.opened(tmp_path / "ben", name, [lab], tables, tmp_path / "home-b") as ben,
    ):
        anna.config |= {"keep": "always"}
        anna.config["nodes"]["count"] = ben.config["nodes"]["count"] = 1
        assert anna.cycle().code == 0
        ben.write()
        assert "keys of" in ben.run("verify").err
        assert anna.run("access", "export", file).code == 0
        assert ben.run("access", "import", file).code == 0
        assert ben.run("verify").code == 0
        (node,) = ben.nodes()
        seen = ben.run("debug", node["name"])
        assert seen.code == 0, seen
        config = tmp_path / "ssh_config"
        assert ben.run("export", "-f", "ssh-config", "-o", str(config)).code == 0
        reached = ben.run("-F", str(config), node["name"], "echo in", command=("ssh",))
        assert (reached.code, reached.out) == (0, "in\n"), reached
        entered = ben.run("ssh", node["name"], "--", "echo in")
        assert (entered.code, entered.out) == (0, "in\n"), entered
        assert ben.run("verify").code == 1, "a session of his did not mark the node"
        assert ben.run("destroy").code == 0
        assert lab.remains() == []
        assert anna.nodes() == []
