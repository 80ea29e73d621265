"""What a group says over what the config says for all, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.config.load import load
from spotdeploy.config.schema import Settings
from spotdeploy.errors import ConfigError
from spotdeploy.project import Project


def read(folder: Path, text: str) -> Settings:
    path = folder / "spotdeploy.toml"
    path.write_text(f'deployment = "demo"\n{text}', encoding="utf-8")
    return load(path, environment={})


CLUSTER = """
[nodes]
count = 3
market = "on-demand"
open_ports = [80]
[payload]
path = "app"
environment = { A = "all", B = "all" }
[provider.fake]
sizes = ["large"]
locations = ["here", "there"]
[[checks]]
type = "tcp"
port = 80

[groups.worker]
after = ["head"]
quorum = 2
payload = { path = "worker", environment = { B = "worker" } }
checks = []
[groups.worker.provider.fake]
sizes = ["small"]

[groups.head]
count = 1
image = "debian-13"
allow_from = ["203.0.113.7/24", "203.0.113.9"]
"""


def test_a_config_without_groups_is_one_group(tmp_path: Path) -> None:
    read(tmp_path, "[nodes]\ncount = 2\n")
    project = Project.open(tmp_path / "spotdeploy.toml")
    ((name, group),) = project.groups.items()
    assert (name, group.config, group.after) == ("nodes", project.config, ())


def test_what_a_group_does_not_say_comes_from_the_config(tmp_path: Path) -> None:
    groups = read(tmp_path, CLUSTER).groups
    assert list(groups) == ["head", "worker"]  # each after those it waits for
    head, worker = groups["head"], groups["worker"]
    assert (head.config.nodes.count, worker.config.nodes.count) == (1, 3)
    assert (head.config.nodes.quorum, worker.config.nodes.quorum) == (None, 2)
    assert head.config.nodes.market == worker.config.nodes.market == "on-demand"
    assert head.config.nodes.allow_from == ("203.0.113.0/24",)
    assert worker.config.nodes.allow_from == ()
    assert (head.config.payload.path, worker.config.payload.path) == ("app", "worker")
    assert head.config.payload.environment == {"A": "all", "B": "all"}
    assert worker.config.payload.environment == {"A": "all", "B": "worker"}
    assert len(head.config.checks) == 1
    assert worker.config.checks == ()
    assert worker.config.provider["fake"] == {"sizes": ["small"], "locations": ["here", "there"]}
    assert head.image == "debian-13"
    assert worker.after == ("head",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[groups.a]\nafter = ["b"]\n', "groups.a.after: there is no group 'b'"),
        ('[groups.a]\nafter = ["a"]\n', "groups.a.after: a group waits for itself: a after a"),
        (
            '[groups.a]\nafter = ["b"]\n[groups.b]\nafter = ["a"]\n',
            r"after: a group waits for itself: [ab] after [ab] after [ab]",
        ),
        ("[groups.a]\ncuont = 2\n", "groups.a.cuont: unknown key"),
        ("[groups.a]\ncount = 0\n", "groups.a.count: "),
        ('[groups.a]\ncount = "3"\n', "groups.a.count: "),
        ("[groups.a]\ncount = 1\nquorum = 2\n", "groups.a.quorum: 2 is more than groups.a.count"),
        ("[nodes]\ncount=3\nquorum=3\n[groups.a]\ncount=1\n", "nodes.quorum: 3 .* groups.a.count"),
        ('[groups.a]\nallow_from = ["x"]\n', r"groups.a.allow_from\[0\]: 'x' is not a network"),
        ("[groups.a]\npayload = 3\n", "groups.a.payload: should be a table"),
        ('[groups.a.payload]\nptah = "x"\n', "groups.a.payload.ptah: unknown key"),
        ('[groups.a.payload]\nentry = "../x"\n', "groups.a.payload.entry: ../x escapes"),
        ("[groups.a.provider]\nfake = 3\n", "groups.a.provider.fake: should be a table"),
        ("[groups.a]\nchecks = 3\n", "groups.a.checks: should be tables"),
        ("[groups]\na = 3\n", "groups"),
        ("[groups.A]\ncount = 1\n", "'A' is no name of a group"),
        ("[groups.here]\n", "'here' is no name of a group"),
        ('[groups.a.payload.secrets]\nX = "plain"\n', "groups.a.payload.secrets.X"),
    ],
)
def test_a_group_that_will_not_do_is_refused_with_its_path(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path, text)
