"""What a node is told of itself and of the others."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import msgspec
import pytest

from spotdeploy.check import CommandResult
from spotdeploy.config.variables import FACTS
from spotdeploy.errors import UnreachableError
from spotdeploy.model import Market, Node, NodeState
from spotdeploy.node.keys import fingerprint, public_key
from spotdeploy.phases.facts import deliver_facts, facts_of, facts_schema, variables
from spotdeploy.run.node_run import NodeRun
from spotdeploy.run.roster import Roster
from spotdeploy.testing import ScriptedConnection
from tests.fake_project import FakeProject

FakeProjects = Callable[..., FakeProject]
NODE = Node(
    "i-1",
    "demo-1",
    "fake",
    "here",
    NodeState.RUNNING,
    address="203.0.113.1",
    zone="a",
    size="small",
)


def node_run(here: FakeProject, connection: ScriptedConnection, *others: Node) -> NodeRun:
    roster = Roster()
    roster.enter("nodes", [NODE, *others])
    return NodeRun(here.run, here.run.locations[0], NODE, connection, roster)  # type: ignore[arg-type]


def test_a_fingerprint_is_what_ssh_keygen_shows(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = (tmp_path / "key.pub").read_text("utf-8")
    shown = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True)
    assert fingerprint(public_key(public)) == shown.stdout.split()[1]


async def test_nodes_json_is_delivered_in_one_command_and_keeps_its_schema(
    fake_project: FakeProjects,
) -> None:
    sent: list[bytes] = []

    def take(_: object, stdin: bytes) -> CommandResult:
        sent.append(stdin)
        return CommandResult(0, "", "")

    other = replace_node("i-2", private_address="10.0.0.2", market=Market.ON_DEMAND)
    connection = ScriptedConnection({"nodes.json": take})
    await deliver_facts(node_run(fake_project(), connection, other))
    (text,) = sent
    data = msgspec.json.decode(text)
    jsonschema.validate(data, facts_schema())
    first, second = data["groups"]["nodes"]
    assert (first["id"], first["index"], first["address"]) == ("i-1", 0, "203.0.113.1")
    assert (second["index"], second["private_address"]) == (1, "10.0.0.2")
    assert second["market"] == "on-demand"
    assert first["host_key"] is None
    assert len(connection.asked) == 1


def replace_node(id_: str, **keys: object) -> Node:
    return msgspec.structs.replace(NODE, id=id_, name=id_, **keys)


async def test_a_node_that_cannot_take_the_facts_is_infrastructure(
    fake_project: FakeProjects,
) -> None:
    full = ScriptedConnection({"nodes.json": CommandResult(1, "", "No space left on device")})
    with pytest.raises(UnreachableError, match="cannot take the facts: No space left"):
        await deliver_facts(node_run(fake_project(), full))


def test_variables_say_the_same_and_what_is_not_known_is_empty(fake_project: FakeProjects) -> None:
    here = node_run(fake_project(), ScriptedConnection(), replace_node("i-2"))
    found = variables(here)
    assert found["SPOTDEPLOY_GROUP"] == "nodes"
    assert (found["SPOTDEPLOY_INDEX"], found["SPOTDEPLOY_COUNT"]) == ("0", "2")
    assert found["SPOTDEPLOY_ADDRESS"] == "203.0.113.1"
    assert found["SPOTDEPLOY_PRIVATE_ADDRESS"] == ""
    assert found["SPOTDEPLOY_MARKET"] == "spot"
    assert found.keys() == FACTS


async def test_what_becomes_known_later_is_told_to_those_who_come_later(
    fake_project: FakeProjects,
) -> None:
    here = node_run(fake_project(), ScriptedConnection(), replace_node("i-2", address=None))
    late = replace_node("i-2", address="203.0.113.2")
    await here.roster.tell(late)
    assert facts_of(here).groups["nodes"][1].address == "203.0.113.2"
    here.roster.replace(late, [replace_node("i-3")])
    nodes = facts_of(here).groups["nodes"]
    assert [(one.id, one.index) for one in nodes] == [("i-1", 0), ("i-3", 1)]
    here.roster.dismiss("nodes")
    assert facts_of(replace(here)).groups["nodes"] == ()
