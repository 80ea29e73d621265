"""What `config` prints of groups, and what the JSON Schemas say of them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest

from spotdeploy.cli.config import effective, sources
from spotdeploy.config.json_schema import build_schema
from spotdeploy.phases.facts import NodeFacts, RunFacts
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from tests.command import run as spotdeploy

CLUSTER = """
deployment = "shop"
providers = ["fake"]
keep = "always"
[nodes]
market = "on-demand"
[payload]
entry = "entry.sh"
[payload.environment]
WHO = "all"
[timeouts]
boot = "1s"
[[checks]]
type = "tcp"
port = 9
[groups.worker]
count = 2
after = ["head"]
sizes = ["large"]
checks = []
[groups.worker.payload.environment]
ROLE = "worker"
[groups.worker.provider.fake]
zones = ["b"]
[groups.head]
quorum = 1
[[groups.head.checks]]
type = "command"
command = ["true"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "spotdeploy.toml").write_text(CLUSTER)
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    return tmp_path


def test_config_prints_each_group_whole_and_what_it_prints_is_a_config_again(
    project: Path,
) -> None:
    told = spotdeploy(project, "config")
    assert told.returncode == 0, told
    data = tomllib.loads(told.stdout)
    worker = data["groups"]["worker"]
    assert (worker["after"], worker["sizes"], worker["count"]) == (["head"], ["large"], 2)
    assert worker["market"] == "on-demand"
    assert worker["payload"]["environment"] == {"WHO": "all", "ROLE": "worker"}
    assert worker["checks"] == []
    assert worker["provider"]["fake"]["zones"] == ["b"]
    assert "account" not in worker["provider"]["fake"]
    assert data["groups"]["head"]["checks"] == [{"type": "command", "command": ["true"]}]
    again = project / "again.toml"
    again.write_text(told.stdout)
    whole, printed = Project.open(project / "spotdeploy.toml"), Project.open(again)
    assert effective(printed) == effective(whole)
    assert list(printed.groups) == list(whole.groups)


def test_config_says_where_what_a_group_takes_over_comes_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDEPLOY_NODES_USER", "ada")
    found = sources(Project.open(project / "spotdeploy.toml"))
    assert found["groups.worker.count"] == "spotdeploy.toml"
    assert found["groups.worker.user"] == "SPOTDEPLOY_NODES_USER"
    assert found["groups.worker.payload.environment.ROLE"] == "spotdeploy.toml"
    assert found["groups.worker.provider.fake.sizes"] == "spotdeploy.toml"
    assert "groups.worker.time_to_live" not in found
    assert "groups.worker.payload.path" not in found


def test_a_list_of_tables_is_printed_so_that_it_stays_where_it_belongs(project: Path) -> None:
    (project / "spotdeploy.toml").write_text(CLUSTER.partition("[groups")[0])
    told = spotdeploy(project, "config").stdout
    assert tomllib.loads(told)["checks"] == [{"type": "tcp", "port": 9}]
    assert tomllib.loads(told)["evidence"].keys() == {"collect", "files"}
    assert 'WHO = "all"'.ljust(48) + "  # spotdeploy.toml" in told


def test_the_schema_takes_groups_and_refuses_what_they_have_no_key_for() -> None:
    schema = build_schema(Plugins())
    jsonschema.validate(tomllib.loads(CLUSTER), schema)
    for text in (
        "[groups.a]\ncuont = 1\n",
        "[groups.a]\ncount = 0\n",
        '[groups.a]\nafter = "b"\n',
        '[groups.a.payload]\nptah = "x"\n',
        '[[groups.a.checks]]\ntype = "nonsense"\n',
        "[groups.a.provider.fake]\nszies = []\n",
        "[groups.A]\ncount = 1\n",
        "[groups.node]\ncount = 1\n",
    ):
        data = tomllib.loads(f'deployment = "shop"\n{text}')
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data, schema)


def test_an_unknown_key_of_a_groups_check_is_refused_with_the_groups_path(project: Path) -> None:
    config = project / "spotdeploy.toml"
    config.write_text(CLUSTER.replace('command = ["true"]', 'comand = ["true"]'))
    done = spotdeploy(project, "plan")
    assert done.returncode == 2, done
    assert "spotdeploy.toml: groups.head.checks[0].comand: unknown key" in done.stderr


def test_the_schema_of_nodes_json_is_printed_and_fits_what_nodes_are_given(project: Path) -> None:
    schema = json.loads(spotdeploy(project, "schema", "--nodes").stdout)
    one = NodeFacts(
        name="shop-1",
        id="i-1",
        index=0,
        provider="fake",
        location="here",
        zone=None,
        size="small",
        market="spot",
        address="192.0.2.7",
        private_address=None,
        host_key=None,
    )
    facts = RunFacts(deployment="shop", run="r", group="head", index=0, groups={"head": (one,)})
    data = json.loads(msgspec.json.encode(facts))
    jsonschema.validate(data, schema)
    del data["groups"]["head"][0]["address"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)
