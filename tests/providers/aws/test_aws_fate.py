"""What became of a node, and what its console printed."""

from __future__ import annotations

import base64

import pytest

from spotdeploy.errors import ProviderError
from spotdeploy.model import FateKind, Market, Node, NodeState
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.call import Call, Reply
from tests.providers.aws.conftest import REGION, batch, offer

GONE = Node(
    id="i-00000000000000bad", name="x", provider="aws", location=REGION, state=NodeState.PENDING
)


@pytest.fixture
def node(provider: AwsProvider) -> Node:
    """A spot node."""
    return provider.create(offer(), batch(1)).nodes[0]


def test_a_node_that_aws_took_back_was_interrupted(
    provider: AwsProvider, lab: AwsLab, node: Node
) -> None:
    lab.interrupt(node.id)
    fate = provider.fate(node)
    assert fate.kind is FateKind.INTERRUPTED
    assert "Spot instance termination" in fate.message


def test_an_announced_interruption_shows_before_it_happens(
    provider: AwsProvider, lab: AwsLab, node: Node
) -> None:
    lab.notify(node.id)
    fate = provider.fate(node)
    assert (fate.kind, fate.message) == (FateKind.INTERRUPTED, "marked-for-termination")


def test_a_node_that_someone_else_ended_is_stopped_and_not_interrupted(
    provider: AwsProvider, lab: AwsLab, node: Node
) -> None:
    lab.end([node.id])
    fate = provider.fate(node)
    assert fate.kind is FateKind.STOPPED
    assert "User initiated" in fate.message


@pytest.mark.parametrize(
    "reason",
    [
        "Client.InternalError: Client error on launch",
        "Client.InvalidKMSKey.InvalidState: The KMS key is in an incorrect state",
    ],
)
def test_an_instance_whose_encrypted_volume_may_not_be_used_names_the_rights(
    provider: AwsProvider, lab: AwsLab, node: Node, reason: str
) -> None:
    lab.end([node.id], reason)
    fate = provider.fate(node)
    assert fate.kind is FateKind.STOPPED
    assert reason in fate.message
    assert "kms rights" in fate.message


def test_an_on_demand_node_has_a_fate_too(provider: AwsProvider) -> None:
    (node,) = provider.create(offer(market=Market.ON_DEMAND), batch(1)).nodes
    assert provider.fate(node).kind is FateKind.ALIVE


def test_a_notice_on_the_node_is_an_interruption(provider: AwsProvider) -> None:
    fate = provider.notice('{"action": "terminate", "time": "2026-01-01T08:22:00Z"}')
    assert fate is not None
    assert fate.kind is FateKind.INTERRUPTED
    assert "2026-01-01T08:22:00Z" in fate.message


@pytest.mark.parametrize("output", ["", "<html>404", "[]", '{"action": "terminate"}', "null", "3"])
def test_anything_else_on_the_node_is_no_notice(provider: AwsProvider, output: str) -> None:
    assert provider.notice(output) is None


def test_the_console_is_shown_as_text(
    provider: AwsProvider, lab: AwsLab, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = base64.b64encode("booting \xff\nlogin:".encode("latin-1")).decode()
    _answer_console(lab, monkeypatch, text)
    assert provider.console(node) == "booting \ufffd\nlogin:"


def test_an_empty_console_is_empty(
    provider: AwsProvider, lab: AwsLab, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer_console(lab, monkeypatch, "")
    assert provider.console(node) == ""


def test_an_older_instance_gives_its_older_console(
    provider: AwsProvider, lab: AwsLab, node: Node
) -> None:
    lab.faults.refuse("GetConsoleOutput", "UnsupportedOperation", "not on this instance type")
    assert isinstance(provider.console(node), str)
    assert lab.called().count("GetConsoleOutput") == 2


def test_the_console_of_a_missing_node_is_empty(provider: AwsProvider, lab: AwsLab) -> None:
    lab.faults.refuse("GetConsoleOutput", "InvalidInstanceID.NotFound", "does not exist")
    assert provider.console(GONE) == ""


def test_a_console_that_may_not_be_read_is_an_error(
    provider: AwsProvider, lab: AwsLab, node: Node
) -> None:
    lab.faults.refuse("GetConsoleOutput", "UnauthorizedOperation", "no", status=403)
    with pytest.raises(ProviderError):
        provider.console(node)


def _answer_console(lab: AwsLab, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    forward = lab.cloud.forward

    def answer(call: Call, parameters: dict[str, str]) -> Reply:
        if call.action != "GetConsoleOutput":
            return forward(call, parameters)
        name = "GetConsoleOutputResponse"
        xmlns = "http://ec2.amazonaws.com/doc/2016-11-15/"
        return Reply(200, f'<{name} xmlns="{xmlns}"><output>{output}</output></{name}>'.encode())

    monkeypatch.setattr(lab.cloud, "forward", answer)
