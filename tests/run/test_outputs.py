"""`[outputs]`: what is refused before anything is destroyed, and what comes of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.labels import GROUP
from spotdeploy.model import Market, Node, NodeState
from spotdeploy.phases.plan import read_plans
from spotdeploy.project import Project
from spotdeploy.run.outputs import fill_outputs, require_outputs
from spotdeploy.run.roster import numbered
from spotdeploy.state.journal import Journal

CLUSTER = """
deployment = "shop"
providers = ["fake"]
[groups.head]
[groups.worker]
count = 2
"""
PLAIN = 'deployment = "shop"\nproviders = ["fake"]\n[nodes]\ncount = 3\n'


def project(folder: Path, text: str, **outputs: str) -> Project:
    tables = "".join(f"{name!r} = '''{value}'''\n" for name, value in outputs.items())
    (folder / "spotdeploy.toml").write_text(f"{text}[outputs]\n{tables}")
    return Project.open(folder / "spotdeploy.toml")


def node(name: str, group: str | None, address: str | None = "192.0.2.1") -> Node:
    marks = {GROUP: group} if group else {}
    return Node(
        f"id-{name}",
        name,
        "fake",
        "here",
        NodeState.RUNNING,
        labels=marks,
        address=address,
        market=Market.SPOT,
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{haed[0].address}", "there is no group 'haed'", "did you mean head?"),
        ("{nodes[0].address}", "there is no group 'nodes'", "groups: head, worker"),
        (
            "{head[0].address} {worker[2].address}",
            "worker has 2 nodes, so there is no worker[2]",
            "the last one is worker[1]",
        ),
        ("{worker[0].adress}", "nodes have no fact 'adress'", "did you mean address?"),
        ("{worker[0].labels}", "nodes have no fact 'labels'", "facts: address, private_address"),
        ("{worker.address}", "'{worker.address}' names no fact of a node", "write {GROUP[INDEX]"),
        ("{worker[-1].address}", "'{worker[-1].address}' names no fact", "write {GROUP[INDEX]"),
        ("{worker[0].address!r}", "'{worker[0].address!r}' names no", "{{ for a brace"),
        ("{}", "'{}' names no fact of a node", "such as {nodes[0].address}"),
        ("http://{worker[0].address", "'{' stands alone", "{{ for a brace"),
    ],
)
def test_what_no_run_can_give_is_refused_with_the_nearest_name(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        require_outputs(project(tmp_path, CLUSTER, url=text))
    assert caught.value.message.startswith(f"spotdeploy.toml: outputs.url: {message}")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["my-url", "URL", "1st", "a b"])
def test_a_name_that_no_program_takes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of an output"):
        require_outputs(project(tmp_path, CLUSTER, **{name: "x"}))


def test_it_is_refused_in_plan_and_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDEPLOY_OUTPUTS__API", "http://{head[1].address}")
    with pytest.raises(ConfigError, match=r"^SPOTDEPLOY_OUTPUTS__API: outputs\.api: head has 1"):
        read_plans(project(tmp_path, CLUSTER, url="x"))


def test_several_providers_have_their_nodes_each(tmp_path: Path) -> None:
    two = PLAIN.replace('["fake"]', '["fake", "local"]')
    require_outputs(project(tmp_path, two, url="{nodes[5].address}"))
    shared = two.replace("count = 3", 'count = 3\nplacement = "ordered"')
    with pytest.raises(ConfigError, match="nodes has 3 nodes"):
        require_outputs(project(tmp_path, shared, url="{nodes[3].address}"))


def test_facts_take_the_place_of_references_and_braces_stay() -> None:
    nodes = numbered([node("shop-1", "head"), node("shop-2", "worker", None)], {})
    outputs = {
        "url": "http://{head[0].address}:1234/{{id}}",
        "which": "{worker[0].group}-{worker[0].index} {worker[0].name} {head[0].market}",
        "gone": "{worker[1].name}",
        "silent": "{worker[0].address}",
        "wrong": "{worker[0]",
        "plain": "no node",
    }
    assert fill_outputs(outputs, nodes) == {
        "url": "http://192.0.2.1:1234/{id}",
        "which": "worker-0 shop-2 spot",
        "gone": None,
        "silent": None,
        "wrong": None,
        "plain": "no node",
    }
    assert fill_outputs(outputs, {}) == {}


def test_a_clouds_answer_cannot_write_a_line_of_its_own() -> None:
    nodes = numbered([node("a\nleaked: nothing\x1b[2J", None)], {})
    assert fill_outputs({"name": "{nodes[0].name}"}, nodes) == {"name": "a leaked: nothing"}


def test_nodes_keep_the_index_that_they_were_made_with(tmp_path: Path) -> None:
    first, second, other = (node(f"shop-{n}", None) for n in (1, 2, 10))
    journal = Journal(tmp_path / "journal.db")
    journal.number("shop", [(second, 0), (first, 1)])
    journal.number("shop", [(second, 0)])
    known = journal.numbers("shop")
    journal.close()
    by_group = numbered([first, other, second], known)
    assert {index: one.name for index, one in by_group["nodes"].items()} == {
        0: "shop-2",
        1: "shop-1",
        2: "shop-10",
    }


def test_without_a_journal_they_are_numbered_by_their_names() -> None:
    nodes = [node(f"shop-{n}", "worker") for n in (10, 9, 1)] + [node("shop-2", "head")]
    by_group = numbered(nodes, {})
    assert [one.name for one in by_group["worker"].values()] == ["shop-1", "shop-9", "shop-10"]
    assert [one.name for one in by_group["head"].values()] == ["shop-2"]
