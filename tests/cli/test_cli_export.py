"""`list`, `export` and `access` with nodes of the fake cloud."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from spotdeploy import labels
from spotdeploy.cli.tables import cost_so_far, show_nodes
from spotdeploy.model import Node, NodeState
from spotdeploy.node import keys
from spotdeploy.project import Project
from spotdeploy.run.handover import Handover
from spotdeploy.state.journal import Journal
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.command import run as spotdeploy

CLUSTER = """
deployment = "shop"
providers = ["fake"]
keep = "always"
[payload]
entry = "entry.sh"
[timeouts]
boot = "1s"
[outputs]
api = "http://{head[0].address}:1234"
[groups.head]
[groups.worker]
count = 2
"""


def write(folder: Path, text: str = CLUSTER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "spotdeploy.toml").write_text(text)
    (folder / "instance").mkdir()
    (folder / "instance" / "entry.sh").write_text("true\n")
    return folder


@pytest.fixture
def here(tmp_path: Path, standing: Path) -> Path:
    """A project whose nodes stand, each with a host key that the journal knows."""
    return Path(shutil.copytree(standing, tmp_path / "here"))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `here` is a copy of: the fake cloud's file is in it too."""
    folder = write(tmp_path_factory.mktemp("standing") / "here")
    with pytest.MonkeyPatch.context() as of_its_own:  # of each worker: locks are in it
        of_its_own.setenv("HOME", str(folder.parent))
        of_its_own.setenv("XDG_STATE_HOME", str(folder.parent / "state"))
        done = spotdeploy(folder, "cycle")
    assert done.returncode == 3, done
    project = Project.open(folder / "spotdeploy.toml")
    journal = Journal(project.journal_path)
    for known in journal.nodes("shop"):
        node = Node(known.id, known.name, known.provider, known.location, NodeState.RUNNING)
        journal.pin(node, keys.public_key(keys.new_pair("host").public))
    journal.close()
    return folder


@pytest.fixture
def there(tmp_path: Path, here: Path) -> Path:
    """The same project on a colleague's computer: same cloud, another state folder."""
    folder = write(tmp_path / "there")
    cloud = here / ".spotdeploy" / "fake-cloud.json"
    text = CLUSTER + f'[provider.fake]\nstate = "{cloud}"\n'
    (folder / "spotdeploy.toml").write_text(text)
    return folder


def _fingerprint(identity: Path) -> str:
    line = ["ssh-keygen", "-l", "-f", str(identity)]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()[1]


def handed(here: Path, name: str = "access.json") -> Path:
    done = spotdeploy(here, "access", "export", name)
    assert done.returncode == 0, done
    return here / name


def test_list_says_age_cost_and_outputs(here: Path) -> None:
    done = spotdeploy(here, "list")
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[0].split()[-4:] == ["AGE", "COST", "ENDS", "IN"]
    (total,) = [line for line in lines if line.startswith("3 nodes, ")]
    assert total.endswith(" so far")
    assert "$" in total
    (api,) = [line for line in lines if line.startswith("api: ")]
    assert api.endswith(".fake.invalid:1234")
    data = json.loads(spotdeploy(here, "list", "--json").stdout)
    assert all(0 < one["age_seconds"] < 600 and one["usd_so_far"] > 0 for one in data)


def test_cost_so_far_is_time_by_rate_and_unknown_is_not_free() -> None:
    def node(**more: Any) -> Node:
        return Node("i", "n", "fake", "here", NodeState.RUNNING, **more)

    priced = node(created_at=1000.0, usd_per_hour=0.36)
    assert cost_so_far([priced, priced], 4600.0).usd == pytest.approx(0.72)
    assert not cost_so_far([node(created_at=1000.0)], 4600.0).known
    assert not cost_so_far([node(usd_per_hour=0.36)], 4600.0).known
    assert str(cost_so_far([node(usd_per_hour=0.0)], 4600.0)) == "free"
    assert cost_so_far([node(created_at=9000.0, usd_per_hour=1.0)], 4600.0).usd == 0.0


def test_a_node_without_a_time_has_no_age(capsys: pytest.CaptureFixture[str]) -> None:
    node = Node("i", "n", "fake", "here", NodeState.RUNNING, usd_per_hour=1.0)
    show_nodes([node], ["nodes"], as_json=False, now=0.0)
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert cells[-3:] == ["-", "unknown", "-"]


def test_a_price_comes_from_the_run_that_made_the_node_and_never_from_elsewhere(here: Path) -> None:
    from spotdeploy.report.run_store import priced

    state = here / ".spotdeploy"
    (run,) = [path.name for path in (state / "runs").iterdir()]
    journal = Journal(state / "journal.db")
    known = journal.nodes("shop")
    journal.close()
    made = [
        Node(n.id, n.name, n.provider, n.location, NodeState.RUNNING, labels={labels.RUN: run})
        for n in known
    ]
    assert all(node.usd_per_hour for node in priced(state, made))
    for name in ("../../x", "20260101-000000-aaaaaa", f"{run}/../{run}", ""):
        moved = [msgspec.structs.replace(node, labels={labels.RUN: name}) for node in made]
        assert priced(state, moved) == moved


@pytest.mark.parametrize("form", ["ssh-config", "ansible", "json", "env", "terraform"])
def test_each_form_is_printed_and_written_for_its_owner_alone(here: Path, form: str) -> None:
    printed = spotdeploy(here, "export", "--format", form)
    assert printed.returncode == 0, printed
    assert printed.stderr == ""
    assert "shop" in printed.stdout
    (here / "out").write_text("older\n")
    written = spotdeploy(here, "export", "--format", form, "--output", "out")
    assert (written.returncode, written.stdout) == (0, "")
    assert (here / "out").read_text() == printed.stdout
    assert stat.S_IMODE((here / "out").stat().st_mode) == 0o600


def test_json_keeps_its_schema_and_has_groups_outputs_and_pins(here: Path) -> None:
    data = json.loads(spotdeploy(here, "export").stdout)
    jsonschema.validate(data, json.loads(spotdeploy(here, "schema", "--export").stdout))
    assert {name: len(nodes) for name, nodes in data["groups"].items()} == {"head": 1, "worker": 2}
    assert [node["index"] for node in data["groups"]["worker"]] == [0, 1]
    assert data["outputs"]["api"] == f"http://{data['groups']['head'][0]['address']}:1234"
    pins = Path(data["known_hosts_file"]).read_text()
    for node in [*data["groups"]["head"], *data["groups"]["worker"]]:
        assert f"{node['id']} {node['host_key']}\n" in pins


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "--format", "yaml"), "'yaml' is not one of"),
        (("export", "--output", "no/such/file"), "cannot write no/such/file"),
        (("export", "--only", "a=b"), "has no [matrix]"),
        (("access", "export", "spotdeploy.toml"), "spotdeploy.toml is there already"),
        (("access", "export", "no/such/file"), "cannot write no/such/file"),
        (("access", "import", "no-file"), "cannot read no-file"),
        (("access", "import", "instance"), "instance"),
        (("access", "import", "/dev/null"), "/dev/null"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    here: Path, words: tuple[str, ...], message: str
) -> None:
    before = (here / "spotdeploy.toml").read_text()
    done = spotdeploy(here, *words)
    assert done.returncode == 2, done
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (here / "spotdeploy.toml").read_text() == before


def test_without_nodes_there_is_nothing_to_export(tmp_path: Path) -> None:
    folder = write(tmp_path / "empty")
    done = spotdeploy(folder, "export")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no nodes of shop exist")
    done = spotdeploy(folder, "access", "export", "file")
    assert "the ssh keys of shop are not in" in done.stderr
    assert not (folder / "file").exists()


def test_a_matrix_is_exported_cell_by_cell(tmp_path: Path) -> None:
    folder = write(tmp_path / "cells", CLUSTER + '[matrix]\npy = ["3.11", "3.12"]\n')
    done = spotdeploy(folder, "export")
    assert done.returncode == 2
    assert "it has 2 cells" in done.stderr
    assert "--only py=3.11; or --only py=3.12" in done.stderr
    assert "no nodes of shop" in spotdeploy(folder, "export", "--only", "py=3.12").stderr


def test_access_goes_to_another_computer_in_a_file_of_its_owners_own(
    here: Path, there: Path
) -> None:
    file = handed(here)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = spotdeploy(there, "export", "--format", "ssh-config")
    assert "keys of shop are not on this computer" in refused.stderr
    done = spotdeploy(there, "access", "import", str(file))
    assert done.returncode == 0, done
    assert "access to 3 nodes of shop, until 20" in done.stdout
    exported = [json.loads(spotdeploy(folder, "export").stdout) for folder in (here, there)]
    assert exported[0]["groups"] == exported[1]["groups"]
    files = [Path(one["identity_file"]) for one in exported]
    assert len({_fingerprint(file) for file in files}) == 1
    assert stat.S_IMODE(files[1].stat().st_mode) == 0o600
    assert spotdeploy(there, "list").returncode == 0
    again = spotdeploy(there, "access", "import", str(file))
    assert again.returncode == 0, "a renewed file takes the place of an earlier one"
    ended = spotdeploy(there, "destroy")
    assert ended.returncode == 0, ended
    assert not files[1].exists()
    assert FakeCloud(FileStore(here / ".spotdeploy" / "fake-cloud.json")).billed() == []


def test_what_was_created_here_is_not_overwritten(here: Path) -> None:
    file = handed(here)
    before = {path: path.read_bytes() for path in (here / ".spotdeploy" / "shop").iterdir()}
    done = spotdeploy(here, "access", "import", str(file))
    assert done.returncode == 2, done
    assert "shop is known on this computer already: its ssh keys are in" in done.stderr
    assert {path: path.read_bytes() for path in (here / ".spotdeploy" / "shop").iterdir()} == before
    (here / ".spotdeploy" / "shop" / "id_ed25519").unlink()
    done = spotdeploy(here, "access", "import", str(file))
    assert "3 nodes of it may be" in done.stderr


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(here: Path, there: Path, mode: int) -> None:
    file = handed(here)
    file.chmod(mode)
    done = spotdeploy(there, "access", "import", str(file))
    assert done.returncode == 2
    assert "can be read by others" in done.stderr
    assert not (there / ".spotdeploy" / "shop").exists()


def change(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change_it(data: dict[str, Any]) -> None:
        *way, last = name.split(".")
        for step in way:
            data = data[int(step)] if isinstance(data, list) else data[step]
        data[last] = value

    return change_it


OTHER = keys.new_pair("other")
HOSTILE = {
    "leads out": change("deployment", "../../etc"),
    "other deployment": change("deployment", "bank"),
    "past": change("expires_at", time.time() - 60),
    "not a time": change("expires_at", 1e300),
    "format": change("format", 2),
    "unknown key": change("proxy_command", "touch ran"),
    "option of a node": change("nodes.0.ssh_options", "-oProxyCommand=touch ran"),
    "id of two lines": change("nodes.0.id", "i-1 ssh-ed25519 AAAA\n*"),
    "id of every host": change("nodes.0.id", "*"),
    "id of an option": change("nodes.0.id", "-oProxyCommand=touch ran"),
    "id of a line end": change("nodes.0.id", "i-1\n"),
    "location of another host": change("nodes.0.location", "x.collector.example"),
    "other provider": change("nodes.0.provider", "aws"),
    "location that leads out": change("nodes.0.location", "../x"),
    "name of an escape": change("nodes.0.name", "\x1b[2J"),
    "run that leads out": change("nodes.0.run", "../../x"),
    "host key of two": change("nodes.0.host_key", f"{OTHER.public}\n* {OTHER.public}"),
    "host key of options": change("nodes.0.host_key", f'command="touch ran" {OTHER.public}'),
    "host key of a certificate": change("nodes.0.host_key", "@cert-authority * ssh-ed25519 AA"),
    "no key": change("login.private", "no key"),
    "keys of two pairs": change("login.public", OTHER.public),
    "negative": change("nodes.0.index", -1),
    "no nodes": change("nodes", []),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_is_written(
    here: Path, there: Path, what: str
) -> None:
    file = handed(here)
    data = json.loads(file.read_text())
    HOSTILE[what](data)
    file.write_text(json.dumps(data))
    before = sorted(there.rglob("*"))
    done = spotdeploy(there, "access", "import", str(file))
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "PRIVATE" not in done.stderr
    assert sorted(there.rglob("*")) == before


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"[]", b"{", b"null", b'{"nodes": ' + b"[" * 100_000]
)
def test_what_is_no_such_file_is_refused(here: Path, there: Path, text: bytes) -> None:
    file = handed(here)
    file.write_bytes(text)
    done = spotdeploy(there, "access", "import", str(file))
    assert done.returncode == 2, done
    assert "gives no access" in done.stderr


def test_a_node_that_is_in_a_file_twice_is_refused(here: Path, there: Path) -> None:
    file = handed(here)
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "nodes": [*data["nodes"], data["nodes"][0]]}))
    assert "is in it twice" in spotdeploy(there, "access", "import", str(file)).stderr


def test_no_repr_shows_a_key(here: Path) -> None:
    handover = msgspec.json.decode(handed(here).read_bytes(), type=Handover)
    assert "PRIVATE" not in repr(handover)


def test_history_says_what_kept_nodes_cost_after_their_run(here: Path) -> None:
    (line,) = json.loads(spotdeploy(here, "history", "--json").stdout)
    assert line["kept_standing"] == 3
    assert line["kept_usd"] > 0
    head, row = spotdeploy(here, "history").stdout.splitlines()
    assert "KEPT" in head
    assert " so far, 3 nodes" in row
    assert spotdeploy(here, "destroy").returncode == 0
    ended, made = json.loads(spotdeploy(here, "history", "--json").stdout)
    assert (made["kept_standing"], ended["kept_cost"]) == (0, "")
    assert " so far" not in spotdeploy(here, "history").stdout


def test_a_shell_that_took_the_variables_can_go_on_using_spotdeploy(here: Path) -> None:
    text = (here / "spotdeploy.toml").read_text()
    (here / "spotdeploy.toml").write_text(text.replace("[outputs]", "[outputs]\nkeep = 'x'"))
    script = (
        'set -eu; out="$(spotdeploy export --format env)"; eval "$out"; '
        'for fact in MARKET NAME SIZE; do eval "export SPOTDEPLOY_NODES_0_$fact=x"; done; '
        "export SPOTDEPLOY_NODES_ADDRESSES=x; spotdeploy list"
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=here,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done


def test_a_group_is_exported_alone_and_an_unknown_one_refused(here: Path) -> None:
    data = json.loads(spotdeploy(here, "export", "--group", "worker").stdout)
    assert list(data["groups"]) == ["worker"]
    assert data["outputs"]["api"].startswith("http://")
    done = spotdeploy(here, "export", "--group", "workre")
    assert done.returncode == 2
    assert "there is no group 'workre'" in done.stderr
    assert "did you mean worker?" in done.stderr


def test_the_cells_of_a_matrix_have_outputs_of_their_own(tmp_path: Path) -> None:
    folder = write(tmp_path / "cells", CLUSTER + '[matrix]\npy = ["3.11", "3.12"]\n')
    done = spotdeploy(folder, "cycle")
    assert done.returncode == 3, done
    listed = [line for line in spotdeploy(folder, "list").stdout.splitlines() if ": api: " in line]
    assert len(listed) == 2
    assert all(f"  {line}" in done.stdout.splitlines() for line in listed)
    one = json.loads(spotdeploy(folder, "export", "--only", "py=3.12").stdout)
    assert one["deployment"] in listed[1]
    assert one["outputs"]["api"] in listed[1]
