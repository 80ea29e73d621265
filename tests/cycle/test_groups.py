"""Groups in one run: what waits for what, what one group's failure does to the others, and that no
node passes that knows of one that is no more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from spotdeploy.cycle import runbook
from spotdeploy.cycle.runbook import run_cycle
from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.events import Bus, NodeCreated, Note
from spotdeploy.labels import group_of
from spotdeploy.model import Verdict
from spotdeploy.phases.facts import facts_of, variables
from spotdeploy.phases.findings import draft
from spotdeploy.phases.plan import read_plans
from spotdeploy.ports import PortRange
from spotdeploy.project import Project
from spotdeploy.run.context import open_run
from spotdeploy.run.liveness import Liveness
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.verdict import Outcome
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.fake_project import Ears

Body = Callable[[NodeRun], Awaitable[None]]
HEAD = """
[groups.worker]
count = 2
after = ["head"]
[groups.head]
"""


class Play:
    """A project on the fake cloud, whose nodes do what a function says."""

    def __init__(self, folder: Path, groups: str, nodes: str = "") -> None:
        self.folder = folder
        (folder / "app").mkdir()
        (folder / "app/go.sh").write_text("true\n", encoding="utf-8")
        self.cloud = FakeCloud(FileStore(folder / "cloud.json"))
        self.ears = Ears()
        self.order: list[str] = []
        (folder / "spotdeploy.toml").write_text(
            f'deployment = "demo"\nproviders = ["fake"]\nkeep = "never"\n{nodes}\n'
            '[payload]\npath = "app"\nentry = "go.sh"\nreboot = false\n'
            f'[provider.fake]\nstate = "{folder / "cloud.json"}"\n{groups}',
            encoding="utf-8",
        )

    async def cycle(self, monkeypatch: pytest.MonkeyPatch, body: Body) -> Outcome:
        """A cycle in which the phases of each node are `body`."""

        async def pipeline(node_run: NodeRun, _: Liveness) -> None:
            self.order.append(f"{node_run.run.group} begins")
            await body(node_run)
            self.order.append(f"{node_run.run.group} ends")

        monkeypatch.setattr(runbook, "_through_verify", pipeline)
        project = Project.open(self.folder / "spotdeploy.toml")
        with open_run(project, read_plans(project), Bus(self.ears)) as run:
            return await asyncio.wait_for(run_cycle(run), 30)

    @property
    def created(self) -> Counter[str]:
        """Group to how many nodes were made for it."""
        return Counter(one.group for one in self.ears.received if isinstance(one, NodeCreated))


async def passes(_: NodeRun) -> None:
    await asyncio.sleep(0)


async def test_a_group_is_made_once_those_it_waits_for_have_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, HEAD)
    outcome = await play.cycle(monkeypatch, passes)
    assert outcome.verdict is Verdict.PASSED
    assert outcome.message == "head: 1 node is healthy; worker: all 2 nodes are healthy"
    assert play.order.index("head ends") < play.order.index("worker begins")
    made = [one for one in play.ears.received if isinstance(one, NodeCreated)]
    assert [one.group for one in made] == ["head", "worker", "worker"]
    assert Counter(group_of(one.node.labels) for one in outcome.nodes) == {"head": 1, "worker": 2}
    assert play.cloud.billed() == []


async def test_groups_that_wait_for_nobody_go_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, "[groups.a]\n[groups.b]\n[groups.c]\n")
    here = {name: asyncio.Event() for name in "abc"}

    async def until_all_are_there(node_run: NodeRun) -> None:
        here[node_run.run.group].set()
        await asyncio.gather(*(one.wait() for one in here.values()))

    outcome = await play.cycle(monkeypatch, until_all_are_there)
    assert outcome.verdict is Verdict.PASSED


async def test_a_group_that_fails_keeps_those_that_wait_for_it_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, f'{HEAD}[groups.last]\nafter = ["worker"]\n[groups.aside]\n')

    async def head_fails(node_run: NodeRun) -> None:
        if node_run.run.group == "head":
            raise node_run.blame_payload("the entry exited with 1")

    outcome = await play.cycle(monkeypatch, head_fails)
    assert outcome.verdict is Verdict.PAYLOAD_FAILED
    assert outcome.message.startswith("head: demo-")
    assert outcome.message.endswith(
        "the entry exited with 1; worker was not deployed, since head did not pass; "
        "last was not deployed, since worker did not pass"
    )
    assert play.created == {"head": 1, "aside": 1}
    assert "aside ends" in play.order


async def test_the_quorum_of_a_group_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = "[groups.a]\ncount = 3\nquorum = 2\n[groups.b]\ncount = 3\nquorum = 3\n"
    play = Play(tmp_path, groups)

    async def first_of_each_fails(node_run: NodeRun) -> None:
        if variables(node_run)["SPOTDEPLOY_INDEX"] == "0":
            raise RuntimeError("a plugin with a bug")

    outcome = await play.cycle(monkeypatch, first_of_each_fails)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert outcome.message.startswith("b: demo-")
    assert "a: " not in outcome.message


async def test_a_node_knows_its_own_group_and_those_it_came_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, f'{HEAD}[groups.last]\nafter = ["worker"]\n[groups.aside]\n')
    known: dict[str, list[str]] = {}
    indices: dict[str, set[str]] = {}

    async def look(node_run: NodeRun) -> None:
        facts, group = facts_of(node_run), node_run.run.group
        known[group] = [f"{name} {len(nodes)}" for name, nodes in facts.groups.items()]
        assert facts.groups[group][facts.index].id == node_run.node.id
        indices.setdefault(group, set()).add(variables(node_run)["SPOTDEPLOY_INDEX"])

    await play.cycle(monkeypatch, look)
    assert known == {
        "head": ["head 1"],
        "worker": ["head 1", "worker 2"],
        "last": ["head 1", "worker 2", "last 1"],
        "aside": ["aside 1"],
    }
    assert indices["worker"] == {"0", "1"}


REPLACE = '[nodes]\non_interruption = "replace"\nreplacements = 2\n'


@pytest.mark.parametrize("losses", [1, 2, 3])
async def test_whoever_knows_a_node_that_was_lost_is_deployed_afresh_or_the_run_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    play = Play(tmp_path, f"{HEAD}[groups.aside]\n", REPLACE)
    told: dict[str, str] = {}

    async def lose_the_head(node_run: NodeRun) -> None:
        if node_run.run.group != "worker":
            return
        (head,) = facts_of(node_run).groups["head"]
        told[node_run.node.id] = head.id
        if len(set(told.values())) <= losses:
            play.cloud.end(head.id, "interrupted")
            await asyncio.sleep(60)

    outcome = await play.cycle(monkeypatch, lose_the_head)
    if losses > 2:  # more than the config's replacements
        assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
        assert "interrupted after it passed" in outcome.message
        assert "the nodes of worker know of it" in outcome.message
    else:
        assert outcome.verdict is Verdict.PASSED
        alive = {one.node.id for one in outcome.nodes if one.group == "head"}
        passed = {one.node.id for one in outcome.nodes if one.group == "worker"}
        assert {told[id_] for id_ in passed} == alive
        assert play.created == {"head": 1 + losses, "worker": 2 + 2 * losses, "aside": 1}
        notes = [one.text for one in play.ears.received if isinstance(one, Note)]
        assert sum("deploying head, worker afresh" in text for text in notes) == losses
    assert play.cloud.billed() == []


@pytest.mark.parametrize("talk", [True, False])
async def test_where_nodes_may_talk_one_that_is_replaced_has_its_group_deployed_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talk: bool
) -> None:
    between = "open_between = [7946]\n" if talk else ""
    play = Play(tmp_path, f"[groups.peer]\ncount = 3\n{between}[groups.aside]\n", REPLACE)
    known: dict[str, set[str]] = {}

    async def lose_one(node_run: NodeRun) -> None:
        facts = facts_of(node_run)
        known[node_run.node.id] = {one.id for one in facts.groups[facts.group]}
        if facts.group == "peer" and facts.index == 1 and len(known) <= 4:
            play.cloud.end(node_run.node.id, "interrupted")
            await asyncio.sleep(60)

    outcome = await play.cycle(monkeypatch, lose_one)
    assert outcome.verdict is Verdict.PASSED
    assert play.created == {"peer": 6 if talk else 4, "aside": 1}
    peers = {one.node.id for one in outcome.nodes if one.group == "peer"}
    assert len(peers) == 3
    if talk:
        assert all(known[id_] == peers for id_ in peers)
    assert play.cloud.billed() == []


async def test_a_group_is_watched_for_as_long_as_any_that_came_after_it_is_deployed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, f'{HEAD}[groups.last]\nafter = ["worker"]\n', REPLACE)
    lost: list[str] = []

    async def lose_the_worker_and_then_the_head(node_run: NodeRun) -> None:
        if node_run.run.group == "last" and len(lost) < 2:
            group = ("worker", "head")[len(lost)]
            lost.append(facts_of(node_run).groups[group][0].id)
            play.cloud.end(lost[-1], "interrupted")
            await asyncio.sleep(60)

    outcome = await play.cycle(monkeypatch, lose_the_worker_and_then_the_head)
    assert outcome.verdict is Verdict.PASSED
    assert len(lost) == 2
    assert play.created == {"head": 2, "worker": 6, "last": 3}
    assert play.cloud.billed() == []


async def test_a_node_that_failed_within_the_quorum_is_not_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = HEAD.replace("[groups.head]", "[groups.head]\ncount = 3\nquorum = 2")
    play = Play(tmp_path, groups)
    known: list[list[int]] = []

    async def second_head_fails(node_run: NodeRun) -> None:
        facts = facts_of(node_run)
        if facts.group == "worker":
            known.append([one.index for one in facts.groups["head"]])
        elif facts.index == 1:
            raise RuntimeError("a plugin with a bug")

    outcome = await play.cycle(monkeypatch, second_head_fails)
    assert outcome.verdict is Verdict.PASSED
    assert known == [[0, 2], [0, 2]]


async def test_by_default_the_run_fails_when_a_node_is_lost_that_others_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, HEAD)

    async def lose_the_head(node_run: NodeRun) -> None:
        if node_run.run.group == "worker":
            play.cloud.end(facts_of(node_run).groups["head"][0].id, "interrupted")
            await asyncio.sleep(60)

    outcome = await play.cycle(monkeypatch, lose_the_head)
    assert outcome.verdict is Verdict.INFRASTRUCTURE_FAILED
    assert "interrupted after it passed" in outcome.message
    assert play.cloud.billed() == []


@pytest.mark.parametrize(
    ("head", "worker", "ports"),
    [
        ("", "", (None, None)),
        ("open_between = [8080]\n", "", ((PortRange("8080"),), ())),
        ("", "open_between = [53]\n", ((), (PortRange("53"),))),
    ],
)
def test_a_group_that_opens_nothing_may_still_reach_those_that_do(
    tmp_path: Path, head: str, worker: str, ports: tuple[object, object]
) -> None:
    play = Play(tmp_path, f"[groups.head]\n{head}[groups.worker]\n{worker}")
    groups = Project.open(play.folder / "spotdeploy.toml").groups
    found = tuple(draft(groups[name]).open_between for name in ("head", "worker"))
    assert found == ports


async def test_a_group_has_its_own_sizes_and_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(
        tmp_path,
        '[groups.a]\nsizes = ["large"]\n[groups.b.provider.fake]\nlocations = ["there", "here"]\n',
    )
    outcome = await play.cycle(monkeypatch, passes)
    made = {one.group: (one.node.location, one.node.size) for one in outcome.nodes}
    assert made == {"a": ("here", "large"), "b": ("there", "small")}
    assert play.cloud.billed() == []


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ('[groups.a]\nimage = "x"\n', "groups.a.image: provider fake has no image"),
        ('[groups.a.provider.fake]\naccount = "x"\n', "groups.a.provider.fake.account: one acc"),
        ('[groups.a.provider.fake]\nsizs = ["x"]\n', "groups.a.provider.fake.sizs: unknown key"),
        ("[groups.a.provider.fkae]\nx = 1\n", "groups.a.provider.fkae: no provider"),
    ],
)
def test_what_no_provider_in_use_knows_is_refused_with_its_path(
    tmp_path: Path, groups: str, told: str
) -> None:
    play = Play(tmp_path, groups)
    with pytest.raises(ConfigError, match=told):
        read_plans(Project.open(play.folder / "spotdeploy.toml"))


async def test_a_node_of_a_group_that_the_config_names_no_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(tmp_path, "[groups.old]\n")
    outcome = await play.cycle(monkeypatch, passes)
    text = (tmp_path / "spotdeploy.toml").read_text("utf-8").replace("groups.old", "groups.new")
    (tmp_path / "spotdeploy.toml").write_text(text, "utf-8")
    with pytest.raises(RefusedError, match=r"is of group old, which .* does not name"):
        Project.open(tmp_path / "spotdeploy.toml").group_of(outcome.nodes[0].node)


TCP = '[[checks]]\ntype = "tcp"\nport = 80\n'


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (f'{TCP}from = "mars"\n{HEAD}', "check 'tcp :80': there is no group 'mars'"),
        (f'{TCP}to = "mars"\n{HEAD}', "check 'tcp :80 of mars': there is no group 'mars'"),
        (f'{TCP}to = "worker"\n{HEAD}', "the nodes of group head do not know those of worker"),
        (f'{TCP}from = "here"\nto = "nodes"\n', "to: from"),
        (
            '[groups.a]\n[[groups.a.checks]]\ntype = "tcp"\nport = 80\nfrom = "b"\n[groups.b]\n',
            "it is a check of group a, to be asked by b alone",
        ),
    ],
)
def test_a_check_on_nodes_that_there_are_not_is_refused(
    tmp_path: Path, groups: str, told: str
) -> None:
    play = Play(tmp_path, groups)
    with pytest.raises(ConfigError, match=told):
        read_plans(Project.open(play.folder / "spotdeploy.toml"))


def test_a_check_from_a_group_is_asked_on_its_nodes_alone(tmp_path: Path) -> None:
    play = Play(tmp_path, f'{TCP}from = "worker"\nto = "head"\n{HEAD}')
    plans = read_plans(Project.open(play.folder / "spotdeploy.toml"))
    names = {group: [check.name for check in plan.checks] for group, plan in plans.items()}
    assert names == {"head": ["payload"], "worker": ["tcp :80 of head", "payload"]}
