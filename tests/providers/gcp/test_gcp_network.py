"""What reaches the nodes."""

from __future__ import annotations

from typing import Any

import pytest

from spotdeploy.errors import ConfigError, ProviderError, QuotaError
from spotdeploy.ports import ALL_PORTS, PortRange
from spotdeploy_gcp.network import KEEP_OUT, LET_IN, Place, rules
from spotdeploy_gcp.provider import GcpProvider
from spotdeploy_libcloud.network import Ingress
from tests.labs.gcp import GcpLab
from tests.labs.gcp.faults import Trouble
from tests.providers.gcp.conftest import LABELS, REGION, SCOPE, MakeProvider, batch, offer

INSERT = "compute.firewalls.insert"


def test_only_ssh_and_the_configured_ports_are_open_and_only_to_the_caller(
    provider: GcpProvider, lab: GcpLab
) -> None:
    (node,) = provider.create(offer(), batch(open_ports=(8081, 1234))).nodes
    allow, deny = sorted(lab.cloud.firewalls.values(), key=lambda rule: rule["priority"])
    assert allow["allowed"] == [{"IPProtocol": "tcp", "ports": ["22", "1234", "8081"]}]
    assert allow["sourceRanges"] == ["127.0.0.1/32"]
    assert (allow["priority"], deny["priority"]) == (LET_IN, KEEP_OUT)
    assert deny["denied"] == [{"IPProtocol": "all"}]
    assert deny["sourceRanges"] == ["0.0.0.0/0"]
    tags = lab.instance(node.name).properties["tags"]["items"]
    assert [*deny["targetTags"], *allow["targetTags"]] == tags


def test_nodes_send_to_one_another_by_their_tag_what_was_asked_for(
    provider: GcpProvider, lab: GcpLab
) -> None:
    ports = tuple(map(PortRange, ("7946", "8000-8100", "4222-4223/udp")))
    (node,) = provider.create(offer(), batch(open_between=ports)).nodes
    (rule,) = (one for one in lab.cloud.firewalls.values() if "sourceTags" in one)
    tags = lab.instance(node.name).properties["tags"]["items"]
    assert [*rule["sourceTags"], *rule["targetTags"]] == tags
    assert "sourceRanges" not in rule
    assert rule["allowed"] == [
        {"IPProtocol": "tcp", "ports": ["7946", "8000-8100"]},
        {"IPProtocol": "udp", "ports": ["4222-4223"]},
    ]
    assert rule["priority"] < KEEP_OUT
    assert f"{lab.project}/{rule['name']}" in {one.id for one in provider.leftovers(SCOPE)}


@pytest.mark.parametrize(
    ("between", "protocols"),
    [(ALL_PORTS, ["tcp", "udp", "icmp"]), ((PortRange("1-65535/udp"),), ["udp"])],
)
def test_ping_gets_through_between_nodes_where_everything_does(
    between: tuple[PortRange, ...], protocols: list[str]
) -> None:
    made = rules("p", LABELS, Ingress((), ("::/0",)), Place("default", REGION), between)
    (own,) = (one for one in made if "sourceTags" in one)
    allowed: Any = own["allowed"]
    assert [one["IPProtocol"] for one in allowed] == protocols


def test_nodes_elsewhere_have_rules_of_their_own_that_are_changed_and_deleted(
    provider: GcpProvider, lab: GcpLab
) -> None:
    asked = batch(open_between=ALL_PORTS)
    provider.create(offer(), asked)
    before = dict(lab.cloud.firewalls)

    def made() -> dict[str, list[str]]:
        new = [rule for name, rule in lab.cloud.firewalls.items() if name not in before]
        return {rule["allowed"][-1]["IPProtocol"]: rule["sourceRanges"] for rule in new}

    provider.admit(asked, ("203.0.113.9", "2001:db8::9", "192.0.2.1"))
    assert made() == {"icmp": ["192.0.2.1/32", "203.0.113.9/32"], "58": ["2001:db8::9/128"]}
    provider.admit(asked, ("203.0.113.9",))
    assert made() == {"icmp": ["203.0.113.9/32"]}
    changes = lab.called()[-4:]
    provider.admit(asked, ("203.0.113.9",))
    assert lab.called()[-2:] == ["firewalls.get", "firewalls.get"], changes
    provider.admit(asked, ())
    assert lab.cloud.firewalls == before


def test_given_networks_are_used_as_they_are(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch(allow_from=("198.51.100.0/24", "203.0.113.7")))
    allow = min(lab.cloud.firewalls.values(), key=lambda rule: rule["priority"])
    assert allow["sourceRanges"] == ["198.51.100.0/24", "203.0.113.7/32"]


def test_each_version_of_addresses_has_a_rule_of_its_own() -> None:
    ingress = Ingress((), ("198.51.100.0/24", "2001:db8::/32"))
    made = rules("p", LABELS, ingress, Place("default", REGION))
    found = {str(rule["name"])[-3:]: rule["sourceRanges"] for rule in made}
    assert found["-v6"] == ["2001:db8::/32"]
    assert ["198.51.100.0/24"] in found.values()


def test_the_rules_of_a_run_are_made_once(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    provider.create(offer(), batch(token="token-1"))
    assert lab.called().count("firewalls.insert") == 2


def test_a_batch_that_lets_in_others_has_a_rule_of_its_own(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(open_ports=(80,)))
    provider.create(offer(), batch(token="token-1", open_ports=(443,)))
    found = {
        tuple(rule["allowed"][0]["ports"]): rule["targetTags"]
        for rule in lab.cloud.firewalls.values()
        if "allowed" in rule
    }
    assert found.keys() == {("22", "80"), ("22", "443")}
    assert found["22", "80"] != found["22", "443"]
    assert len(lab.cloud.firewalls) == 3


def test_rules_that_another_process_made_are_used(make: MakeProvider, lab: GcpLab) -> None:
    make().create(offer(), batch())
    lab.cloud.requests.clear()
    make().create(offer(), batch(token="token-1"))
    assert len(lab.cloud.firewalls) == 2


def test_a_rule_that_appeared_in_the_meantime_is_no_error(
    provider: GcpProvider, lab: GcpLab
) -> None:
    there = Trouble("RESOURCE_ALREADY_EXISTS", "already exists")
    lab.faults.operations[INSERT] = [there]
    assert len(provider.create(offer(), batch()).nodes) == 1


def test_no_node_is_made_when_its_rules_cannot_be(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.operations[INSERT] = [Trouble("QUOTA_EXCEEDED", "Quota 'FIREWALLS' exceeded.")]
    with pytest.raises(QuotaError, match="FIREWALLS"):
        provider.create(offer(), batch())
    assert lab.instances() == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"address": "private"}, "allow_from is needed"),
        ({"address_service": "http://127.0.0.1:9/"}, "cannot ask"),
    ],
)
def test_an_unknown_own_address_is_reported_with_a_remedy(
    make: MakeProvider, table: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, ProviderError), match=message) as caught:
        make(**table).create(offer(), batch())
    assert caught.value.hint


def test_names_and_tags_are_as_long_as_google_takes_at_most() -> None:
    labels = {**LABELS, "spotdeploy-deployment": "d" * 40, "spotdeploy-run": "r" * 63}
    ingress = Ingress((1,), ("::1", "127.0.0.1"))
    for rule in rules("p", labels, ingress, Place("default", "northamerica-northeast1")):
        assert len(str(rule["name"])) <= 63
        assert len(str(rule["description"])) <= 2048
