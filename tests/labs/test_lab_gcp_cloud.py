"""The lab behaves as the cloud does where the provider depends on it."""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.labs.gcp import GcpLab
from tests.labs.gcp.catalogue import ROOT
from tests.labs.gcp.filters import chosen

PATH = "/compute/v1/projects/lab-project"
BODY: dict[str, Any] = {
    "count": "2",
    "minCount": "1",
    "perInstanceProperties": {"a": {}, "b": {}},
    "instanceProperties": {
        "machineType": "e2-small",
        "scheduling": {"provisioningModel": "SPOT", "onHostMaintenance": "TERMINATE"},
        "labels": {"team": "edge"},
        "disks": [
            {
                "autoDelete": True,
                "initializeParams": {
                    "sourceImage": "https://www.googleapis.com/compute/v1/projects/lab-project"
                    "/global/images/mine-v1",
                    "diskSizeGb": "16",
                    "diskType": "pd-balanced",
                },
            }
        ],
        "networkInterfaces": [{"network": "projects/lab-project/global/networks/default"}],
    },
}
INSERT = f"{PATH}/zones/us-central1-a/instances/bulkInsert"


class Client:
    """Speaks to a lab, with a token."""

    def __init__(self, lab: GcpLab) -> None:
        self._host = lab.url.removeprefix("http://")
        self._token = lab.tokens.grant().json["access_token"]

    def __call__(self, verb: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of the answer."""
        connection = http.client.HTTPConnection(self._host)
        headers = {"Authorization": f"Bearer {self._token}"}
        connection.request(verb, path, json.dumps(body) if body else None, headers)
        answered = connection.getresponse()
        content = answered.read()
        connection.close()
        return answered.status, json.loads(content)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[GcpLab]:
    with GcpLab(tmp_path) as lab:
        yield lab


@pytest.fixture
def ask(lab: GcpLab) -> Client:
    return Client(lab)


def test_operations_are_pending_then_running_then_done(lab: GcpLab, ask: Client) -> None:
    now = 1_800_000_000.0
    lab.timing.operation, lab.timing.longest_wait = 10.0, 0.0
    lab.timing.clock = lambda: now
    _, operation = ask("POST", INSERT, BODY)
    wait = f"{PATH}/zones/us-central1-a/operations/{operation['name']}/wait"
    seen = []
    for second in (0, 6, 10):
        lab.timing.clock = lambda second=second: now + second  # type: ignore[misc]
        _, shown = ask("POST", wait)
        counts = shown["instancesBulkInsertOperationMetadata"]["perLocationStatus"]
        seen.append((shown["status"], counts["zones/us-central1-a"]["createdVmCount"]))
    assert seen == [("PENDING", 0), ("RUNNING", 0), ("DONE", 2)]
    assert lab.wrong == []


def test_instances_are_provisioned_and_staged_before_they_run(lab: GcpLab, ask: Client) -> None:
    now = 1_800_000_000.0
    lab.timing.boot, lab.timing.operation = 10.0, 0.0
    lab.timing.clock = lambda: now
    ask("POST", INSERT, BODY)
    seen = []
    for second in (0, 6, 10):
        lab.timing.clock = lambda second=second: now + second  # type: ignore[misc]
        seen.append(lab.instances()["a"])
    assert seen == ["PROVISIONING", "STAGING", "RUNNING"]


def test_whoever_has_no_token_is_refused(lab: GcpLab, ask: Client) -> None:
    lab.tokens.given.clear()
    status, body = ask("GET", PATH)
    assert (status, body["error"]["errors"][0]["reason"]) == (401, "authError")


def test_a_breach_of_the_documentation_is_counted_and_refused(lab: GcpLab, ask: Client) -> None:
    status, _ = ask("POST", INSERT, {**BODY, "nonsense": True})
    assert status == 400
    assert lab.wrong == ["compute.instances.bulkInsert: nonsense is unknown"]
    status, _ = ask("GET", f"{PATH}/nonsense")
    assert status == 404
    assert len(lab.wrong) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("machineType", "z9-huge"),
        ("labels", {"UPPER": "x"}),
        ("tags", {"items": ["Not_A_Tag"]}),
        ("scheduling", {"provisioningModel": "SPOT", "onHostMaintenance": "MIGRATE"}),
        ("scheduling", {"maxRunDuration": {"seconds": "60"}, "onHostMaintenance": "MIGRATE"}),
        ("scheduling", {"instanceTerminationAction": "DELETE", "onHostMaintenance": "MIGRATE"}),
        ("metadata", {"items": [{"key": "user-data", "value": "x" * 262145}]}),
    ],
)
def test_what_google_would_refuse_is_refused(
    lab: GcpLab, ask: Client, path: str, value: object
) -> None:
    properties = {**BODY["instanceProperties"], path: value}
    status, body = ask("POST", INSERT, {**BODY, "instanceProperties": properties})
    assert (status, body["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert lab.instances() == {}


def changed(body: dict[str, Any], **changes: object) -> dict[str, Any]:
    """The request with other properties; `disk` is the type of its disk, `image` its image."""
    properties = copy.deepcopy(body["instanceProperties"])
    disk = properties["disks"][0]["initializeParams"]
    disk["diskType"] = changes.pop("disk", disk["diskType"])
    disk["sourceImage"] = changes.pop("image", disk["sourceImage"])
    return {**body, "instanceProperties": {**properties, **changes}}


ON_DEMAND = {"provisioningModel": "STANDARD"}
MIGRATE = {**ON_DEMAND, "onHostMaintenance": "MIGRATE"}
CUSTOM = "projects/lab-project/global/networks/custom"
INNER = "projects/lab-project/regions/us-central1/subnetworks/inner"
LENT = {
    "network": "projects/host-project/global/networks/shared",
    "subnetwork": "projects/host-project/regions/us-central1/subnetworks/lent",
}


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        (
            {"machineType": "g2-standard-4", "scheduling": MIGRATE},
            "badRequest",
            "Instances with guest accelerators do not support live migration.",
        ),
        (
            {"scheduling": {**ON_DEMAND, "onHostMaintenance": "TERMINATE"}},
            "badRequest",
            "cannot terminate on host maintenance",
        ),
        (
            {"machineType": "c4-standard-2"},
            "badRequest",
            "[pd-balanced] features are not compatible",
        ),
        ({"disk": "hyperdisk-balanced"}, "badRequest", "[hyperdisk-balanced] features are not"),
        ({"image": f"{ROOT}/projects/x/global/images/gone"}, "invalid", "cannot be found"),
        ({"networkInterfaces": [{"network": CUSTOM}]}, "invalid", "custom subnet mode"),
        (
            {"networkInterfaces": [{"network": CUSTOM, "subnetwork": f"{INNER}st"}]},
            "notFound",
            "subnetworks/innerst' was not found",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    lab: GcpLab, ask: Client, changes: dict[str, Any], reason: str, words: str
) -> None:
    _, body = ask("POST", INSERT, changed(BODY, **changes))
    assert body["error"]["errors"][0]["reason"] == reason
    assert words in body["error"]["message"]
    assert lab.instances() == {}
    assert lab.wrong == []


@pytest.mark.parametrize(
    "changes",
    [
        {"machineType": "e2-small", "scheduling": MIGRATE},
        {"machineType": "c4-standard-2", "disk": "hyperdisk-balanced"},
        {"networkInterfaces": [{"network": CUSTOM, "subnetwork": INNER}]},
        {"networkInterfaces": [LENT]},
    ],
)
def test_what_goes_together_is_taken(lab: GcpLab, ask: Client, changes: dict[str, Any]) -> None:
    status, body = ask("POST", INSERT, changed(BODY, **changes))
    assert status == 200, body
    assert len(lab.instances()) == 2


def test_a_rule_belongs_to_the_project_of_its_network(lab: GcpLab, ask: Client) -> None:
    rule = {"name": "x", "network": LENT["network"]}
    status, body = ask("POST", f"{PATH}/global/firewalls", rule)
    assert (status, body["error"]["errors"][0]["reason"]) == (400, "invalid")
    where = "/compute/v1/projects/host-project/global/firewalls"
    assert ask("POST", where, rule)[0] == 200
    assert [one["name"] for one in ask("GET", where)[1]["items"]] == ["x"]
    assert ask("GET", f"{PATH}/global/firewalls")[1]["items"] == []


def test_a_filter_and_an_order_together_are_refused(lab: GcpLab, ask: Client) -> None:
    where = f"{PATH}/zones/us-central1-a/operations"
    both = "filter=name+eq+x&orderBy=creationTimestamp+desc"
    status, body = ask("GET", f"{where}?{both}")
    assert (status, body["error"]["errors"][0]["reason"]) == (400, "invalid")
    assert "Specifying both a list filter and sort order" in body["error"]["message"]
    for one in both.split("&"):
        assert ask("GET", f"{where}?{one}")[0] == 200


@pytest.mark.parametrize("noun", ["instances", "disks", "machineTypes"])
def test_one_silent_zone_fails_a_listing_unless_partial_success_will_do(
    lab: GcpLab, ask: Client, noun: str
) -> None:
    lab.faults.unreachable.add("europe-west4-a")
    status, body = ask("GET", f"{PATH}/aggregated/{noun}")
    assert (status, body["error"]["errors"][0]["reason"]) == (503, "backendError")
    status, body = ask("GET", f"{PATH}/aggregated/{noun}?returnPartialSuccess=true")
    assert (status, body["unreachables"]) == (200, ["projects/lab-project/zones/europe-west4-a"])
    assert body["items"]["zones/europe-west4-a"]["warning"]["code"] == "UNREACHABLE"
    assert lab.wrong == []


def test_all_or_nothing_is_kept_when_it_is_asked_for(lab: GcpLab, ask: Client) -> None:
    lab.faults.limit(1)
    ask("POST", INSERT, {**BODY, "minCount": "2"})
    assert lab.instances() == {}


def test_filters_choose_as_documented() -> None:
    things = [{"name": "ab", "labels": {"x-y": "1"}}, {"name": "b", "labels": {"x-y": "2"}}]
    for expression, names in (
        ("", ["ab", "b"]),
        ('(labels.x-y = "1")', ["ab"]),
        ('(labels.x-y = "1") (name = "b")', []),
        ('(name = "ab") OR (name = "b")', ["ab", "b"]),
        ('name eq "a.*"', ["ab"]),
        ('name ne "a.*"', ["b"]),
        ('name eq "a"', []),
    ):
        assert [thing["name"] for thing in chosen(things, expression)] == names, expression
