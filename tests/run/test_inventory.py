"""What a cloud may not call a node that other programs are to be given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spotdeploy.errors import RefusedError
from spotdeploy.labels import for_batch
from spotdeploy.model import Batch
from spotdeploy.project import Project
from spotdeploy.run.inventory import read_inventory
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.config import FakeConfig
from spotdeploy.testing.fake.provider import FakeProvider
from spotdeploy.testing.fake.store import FileStore


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one node, made elsewhere."""
    path = tmp_path / "cloud.json"
    text = f'deployment = "shop"\nproviders = ["fake"]\n[provider.fake]\nstate = "{path}"\n'
    (tmp_path / "spotdeploy.toml").write_text(text)
    cloud = FakeCloud(FileStore(path))
    provider = FakeProvider(FakeConfig(), "here", cloud)
    labels = for_batch("shop", "run-1", "token", "digest", 9e9)
    batch = Batch(token="token", count=1, labels=labels, user_data=b"", user="spotdeploy")
    provider.create(provider.offers(Project.open(tmp_path / "spotdeploy.toml").pool)[0], batch)
    return Project.open(tmp_path / "spotdeploy.toml")


def test_what_was_made_elsewhere_is_known_without_its_keys(project: Project) -> None:
    inventory = read_inventory(project)
    (node,) = inventory.groups["nodes"]
    assert (node.index, node.host_key, node.proxy_command) == (0, None, ())
    assert (inventory.identity_file, inventory.known_hosts_file) == (None, None)
    assert not project.state.exists(), "asking made something"


@pytest.mark.parametrize(
    "id_", ["a b", "*", "-oProxyCommand=x", "a\nHost *", "{{ x }}", "$(touch ran)", "m-1\u00fc"]
)
def test_an_id_that_another_program_would_read_as_more_is_refused(
    project: Project, id_: str
) -> None:
    (node,) = project.nodes()
    cloud = project.path.parent / "cloud.json"
    cloud.write_text(cloud.read_text().replace(json.dumps(node.id), json.dumps(id_)))
    assert [one.id for one in project.nodes()] == [id_]
    with pytest.raises(RefusedError, match="not safe to hand to another program"):
        read_inventory(project)
