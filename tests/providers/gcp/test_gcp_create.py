"""Creating: what is asked for, what comes of it, and what goes wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from spotdeploy import labels
from spotdeploy.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    LostReplyError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.model import Market, NodeState, Pool
from spotdeploy_gcp.api import read
from spotdeploy_gcp.destroy import FIREWALL
from spotdeploy_gcp.offers import migrates
from spotdeploy_gcp.provider import GcpProvider
from spotdeploy_gcp.request import disk_type
from spotdeploy_gcp.schemas import MachineType
from tests.labs.gcp import GcpLab
from tests.labs.gcp.faults import QUOTA, Trouble
from tests.providers.gcp.conftest import LABELS, SCOPE, ZONE, MakeProvider, batch, offer

INSERT = "compute.instances.bulkInsert"


def asked(lab: GcpLab) -> dict[str, Any]:
    """The body of the only bulk insert."""
    (body,) = (call.body for call in lab.calls if call.method == INSERT)
    return dict(body)


def properties(lab: GcpLab) -> dict[str, Any]:
    """What every instance was asked to be."""
    return dict(asked(lab)["instanceProperties"])


def test_a_batch_is_one_bulk_insert_with_names_of_the_token(
    provider: GcpProvider, lab: GcpLab
) -> None:
    created = provider.create(offer(), batch(3))
    assert [node.name for node in created.nodes] == [f"sd-token-0-{n}" for n in range(3)]
    assert lab.called().count("instances.bulkInsert") == 1
    assert (asked(lab)["count"], asked(lab)["minCount"]) == ("3", "1")


def test_a_spot_node_is_deleted_when_it_is_preempted_or_its_time_is_over(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=5400.0))
    assert properties(lab)["scheduling"] == {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": "5280"},
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
    }


def test_an_on_demand_node_has_the_same_time_to_live(provider: GcpProvider, lab: GcpLab) -> None:
    (node,) = provider.create(offer(market=Market.ON_DEMAND), batch()).nodes
    scheduling = properties(lab)["scheduling"]
    assert scheduling["provisioningModel"] == "STANDARD"
    assert scheduling["maxRunDuration"] == {"seconds": "7080"}
    assert scheduling["instanceTerminationAction"] == "DELETE"
    assert node.market is Market.ON_DEMAND


def test_google_ends_a_node_before_it_powers_itself_off_and_leaves_its_disk(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=140.0))
    assert properties(lab)["scheduling"]["maxRunDuration"] == {"seconds": "30"}


def test_google_deletes_a_node_whose_time_to_live_is_over(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(time_to_live=300.0))
    now = lab.timing.clock()
    lab.timing.clock = lambda: now + 179
    assert len(provider.nodes(SCOPE)) == 1
    lab.timing.clock = lambda: now + 190
    assert provider.nodes(SCOPE) == []


def test_labels_are_on_the_instance_and_on_its_disk(make: MakeProvider, lab: GcpLab) -> None:
    make(labels={"team": "edge"}).create(offer(), batch())
    expected = {**LABELS, "team": "edge"}
    (disk,) = properties(lab)["disks"]
    assert properties(lab)["labels"] == expected
    assert disk["initializeParams"]["labels"] == expected
    assert disk["autoDelete"] is True


def test_no_key_of_the_project_logs_in_and_no_service_account_is_lent(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch())
    metadata = {item["key"]: item["value"] for item in properties(lab)["metadata"]["items"]}
    assert metadata["block-project-ssh-keys"] == "true"
    assert metadata["user-data"] == "#cloud-boothook\n#!/bin/sh\ntrue\n"
    assert "serviceAccounts" not in properties(lab)


@pytest.mark.parametrize(
    ("size", "market", "action", "disk"),
    [
        ("g2-standard-4", Market.ON_DEMAND, "TERMINATE", "pd-balanced"),
        ("h4d-standard-192", Market.ON_DEMAND, "TERMINATE", "hyperdisk-balanced"),
        ("e2-small", Market.ON_DEMAND, "MIGRATE", "pd-balanced"),
        ("c4-standard-2", Market.ON_DEMAND, "MIGRATE", "hyperdisk-balanced"),
        ("n4-standard-2", Market.SPOT, "TERMINATE", "hyperdisk-balanced"),
        ("n2-standard-2", Market.SPOT, "TERMINATE", "pd-balanced"),
    ],
)
def test_maintenance_and_disk_are_what_the_size_takes(
    make: MakeProvider, lab: GcpLab, size: str, market: Market, action: str, disk: str
) -> None:
    provider = make(sizes=[size], image="mine-v1")
    (node,) = provider.create(offer(size=size, market=market), batch()).nodes
    assert node.name in lab.instances()
    assert properties(lab)["scheduling"]["onHostMaintenance"] == action
    assert properties(lab)["disks"][0]["initializeParams"]["diskType"] == disk


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("n2-standard-4", {}, True),
        ("a2-highgpu-1g", {"accelerators": [{"guestAcceleratorType": "nvidia-tesla-a100"}]}, False),
        ("c3-standard-192-metal", {}, False),
        ("ct5lp-hightpu-1t", {}, False),
        ("z3-highmem-14-standardlssd", {"bundledLocalSsds": {"partitionCount": 1}}, True),
        ("z3-highmem-88-highlssd", {"bundledLocalSsds": {"partitionCount": 12}}, False),
    ],
)
def test_which_sizes_migrate(name: str, more: dict[str, Any], *, expected: bool) -> None:
    about = {"name": name, "zone": ZONE, "guestCpus": 4, "memoryMb": 8, **more}
    assert migrates(read(about, MachineType)) is expected


@pytest.mark.parametrize(
    "size",
    ["c4a-standard-1", "c4d-standard-2", "n4a-standard-1", "m4-megamem-28", "a3-ultragpu-8g"],
)
def test_sizes_without_persistent_disks_get_hyperdisk(size: str) -> None:
    assert disk_type(size) == "hyperdisk-balanced"


@pytest.mark.parametrize("size", ["c3-standard-4", "a3-highgpu-8g", "m3-ultramem-32", "n1-x", "c2"])
def test_other_sizes_get_persistent_disks(size: str) -> None:
    assert disk_type(size) == "pd-balanced"


def test_a_type_of_disk_that_is_named_is_taken(make: MakeProvider, lab: GcpLab) -> None:
    make(disk_type="pd-ssd").create(offer(), batch())
    assert properties(lab)["disks"][0]["initializeParams"]["diskType"] == "pd-ssd"


def metadata_of(lab: GcpLab) -> dict[str, str]:
    """The metadata that every instance was asked to have."""
    return {item["key"]: item["value"] for item in properties(lab)["metadata"]["items"]}


BOOTHOOK = b"#cloud-boothook\n#!/bin/sh\nset -eu\necho ran\n"


@pytest.mark.parametrize("has_cloud_init", [True, False])
def test_an_image_without_cloud_init_runs_the_same_script_and_no_other_runs_it_twice(
    provider: GcpProvider, lab: GcpLab, tmp_path: Path, *, has_cloud_init: bool
) -> None:
    provider.create(offer(), batch(user_data=BOOTHOOK))
    metadata = metadata_of(lab)
    assert metadata["user-data"] == BOOTHOOK.decode()
    (tmp_path / "script").write_text(metadata["startup-script"])
    if has_cloud_init:
        (tmp_path / "cloud-init").write_text("#!/bin/sh\n")
        (tmp_path / "cloud-init").chmod(0o755)
    shown = subprocess.run(
        ["/bin/sh", tmp_path / "script"], env={"PATH": str(tmp_path)}, capture_output=True
    )
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout == (b"" if has_cloud_init else b"ran\n")
    assert metadata["startup-script"].startswith("#!/bin/sh\n")


@pytest.mark.parametrize("data", [b"#cloud-config\nusers: []\n", b"true\n", b"\x1f\x8b\xff"])
def test_what_is_no_boothook_is_no_startup_script(
    provider: GcpProvider, lab: GcpLab, data: bytes
) -> None:
    provider.create(offer(), batch(user_data=data))
    assert "startup-script" not in metadata_of(lab)


def test_user_data_of_the_largest_size_still_fits_in_twice(
    provider: GcpProvider, lab: GcpLab
) -> None:
    provider.create(offer(), batch(user_data=BOOTHOOK.ljust(provider.user_data_limit, b"#")))
    assert len(lab.instances()) == 1


def test_os_login_and_secure_boot_are_as_configured(make: MakeProvider, lab: GcpLab) -> None:
    make(os_login=False, secure_boot=True).create(offer(), batch())
    assert metadata_of(lab)["enable-oslogin"] == "FALSE"
    assert properties(lab)["shieldedInstanceConfig"]["enableSecureBoot"] is True


@pytest.mark.parametrize(
    ("constraint", "table", "cure"),
    [
        ("compute.requireShieldedVm", {}, {"secure_boot": True}),
        ("compute.requireOsLogin", {"os_login": False}, {}),
        ("compute.vmExternalIpAccess", {}, {"address": "private"}),
        ("compute.trustedImageProjects", {}, {"image": "mine-v1"}),
    ],
)
def test_a_policy_is_named_with_what_to_do_and_that_helps(
    make: MakeProvider, lab: GcpLab, constraint: str, table: dict[str, Any], cure: dict[str, Any]
) -> None:
    lab.cloud.policies[constraint] = frozenset({lab.project})
    with pytest.raises(ProviderError, match=constraint) as caught:
        make(**table).create(offer(), batch())
    assert (type(caught.value), caught.value.reach) == (ProviderError, Reach.ACCOUNT)
    for key, value in cure.items():
        assert key in str(caught.value.hint) or str(value) in str(caught.value.hint)
    open_to = ("10.0.0.0/8",)
    assert make(**cure).create(offer(), batch(token="token-1", allow_from=open_to)).nodes


def test_a_policy_about_places_reaches_the_region(make: MakeProvider, lab: GcpLab) -> None:
    lab.cloud.policies["gcp.resourceLocations"] = frozenset({"europe-west4"})
    with pytest.raises(ProviderError, match="resourceLocations") as caught:
        make().create(offer(), batch())
    assert caught.value.reach is Reach.LOCATION
    assert "choose regions" in str(caught.value.hint)
    assert make("europe-west4").create(offer("europe-west4-a"), batch(token="token-1")).nodes


def test_a_shared_network_is_used_with_rules_in_its_own_project(
    make: MakeProvider, lab: GcpLab
) -> None:
    provider = make(network="projects/host-project/global/networks/shared", subnetwork="lent")
    assert provider.doctor() == []
    (node,) = provider.create(offer(), batch()).nodes
    (interface,) = properties(lab)["networkInterfaces"]
    assert interface["subnetwork"] == "projects/host-project/regions/us-central1/subnetworks/lent"
    rules = [thing for thing in provider.leftovers(SCOPE) if thing.kind == FIREWALL]
    assert {rule.id.split("/")[0] for rule in rules} == {"host-project"}
    assert "--project host-project" in provider.manual_delete_command(rules[0])
    provider.destroy([node])
    provider.release(provider.leftovers(SCOPE))
    assert lab.remains() == []


def test_without_rules_of_ours_the_tags_of_others_do(make: MakeProvider, lab: GcpLab) -> None:
    words = "Required 'compute.firewalls.list' permission for 'projects/lab-project'"
    for method in ("insert", "list"):
        lab.faults.refuse(f"compute.firewalls.{method}", 403, "forbidden", words, times=99)
    provider = make(
        firewall=False, tags=["allow-ssh", "edge"], address_service="http://127.0.0.1:9"
    )
    assert provider.objections(Pool(1), batch()) == []
    (node,) = provider.create(offer(), batch()).nodes
    assert properties(lab)["tags"]["items"] == ["allow-ssh", "edge"]
    provider.destroy([node])
    assert provider.leftovers(SCOPE) == []
    with pytest.raises(CredentialsError, match=r"firewalls\.list"):
        make().leftovers(SCOPE)


def test_the_shielded_defaults_of_the_image_are_kept(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    assert "shieldedInstanceConfig" not in properties(lab)


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08compressed\xff", b"with \0 in it"])
def test_user_data_that_is_no_text_goes_as_base64(
    provider: GcpProvider, lab: GcpLab, data: bytes
) -> None:
    provider.create(offer(), batch(user_data=data))
    metadata = {item["key"]: item["value"] for item in properties(lab)["metadata"]["items"]}
    assert metadata["user-data-encoding"] == "base64"


def test_private_nodes_get_no_public_address(make: MakeProvider, lab: GcpLab) -> None:
    provider = make(address="private", network="custom", subnetwork="inner")
    (node,) = provider.create(offer(), batch(allow_from=("10.0.0.0/8",))).nodes
    (interface,) = properties(lab)["networkInterfaces"]
    assert "accessConfigs" not in interface
    assert interface["subnetwork"].endswith("/regions/us-central1/subnetworks/inner")
    assert node.address == node.private_address


def test_user_data_that_is_too_large_is_refused_with_both_sizes(provider: GcpProvider) -> None:
    with pytest.raises(ConfigError, match="196609 bytes; Compute Engine takes 196608"):
        provider.create(offer(), batch(user_data=b"#" * 196609))


def test_a_time_to_live_that_google_does_not_take_is_refused(provider: GcpProvider) -> None:
    with pytest.raises(ConfigError, match="120 days"):
        provider.create(offer(), batch(time_to_live=121 * 86400.0))


def test_a_partial_fill_gives_googles_reason(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.limit(2)
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 2
    assert "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone does not" in str(created.shortfall)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble("ZONE_RESOURCE_POOL_EXHAUSTED", "no room"), CapacityError),
        (Trouble("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "no room"), CapacityError),
        (QUOTA, QuotaError),
        (Trouble("RATE_LIMIT_EXCEEDED", "too fast"), CapacityError),
        (Trouble("SOMETHING_NEW", "message"), ProviderError),
    ],
)
@pytest.mark.parametrize("unlisted", [False, True])
def test_a_failed_bulk_insert_raises_the_cause_with_code_and_message(
    provider: GcpProvider, lab: GcpLab, trouble: Trouble, kind: type[Exception], unlisted: bool
) -> None:
    lab.faults.limit(0, trouble=trouble)
    lab.faults.unlisted_cause = unlisted
    with pytest.raises(ProviderError) as caught:
        provider.create(offer(), batch(2))
    assert type(caught.value) is kind
    assert caught.value.code == trouble.code
    assert f"{trouble.code}: {trouble.words}" in caught.value.message
    assert "VM_MIN_COUNT_NOT_REACHED" in caught.value.message
    assert lab.instances() == {}


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "quotaExceeded", QuotaError),
        (503, "insufficientCapacity", CapacityError),
        (403, "rateLimitExceeded", ThrottledError),
        (429, "rateLimitExceeded", ThrottledError),
        (503, "backendError", LostReplyError),
        (400, "invalid", ProviderError),
    ],
)
def test_a_refused_bulk_insert_is_typed_by_googles_reason(
    provider: GcpProvider, lab: GcpLab, status: int, reason: str, kind: type[Exception]
) -> None:
    lab.faults.refuse(INSERT, status, reason, "Google's own message")
    with pytest.raises(ProviderError, match="Google's own message") as caught:
        provider.create(offer(), batch())
    assert type(caught.value) is kind
    assert caught.value.code == reason


def test_zones_can_be_tried_in_order(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.limit(0, zone=ZONE)
    with pytest.raises(CapacityError):
        provider.create(offer(), batch())
    (node,) = provider.create(offer("us-central1-b"), batch(token="token-1")).nodes
    assert node.zone == "us-central1-b"


def test_the_same_token_is_the_same_request_id(provider: GcpProvider, lab: GcpLab) -> None:
    first = provider.create(offer(), batch(2))
    assert provider.create(offer(), batch(2)) == first
    ids = [call.query["requestId"] for call in lab.calls if call.method == INSERT]
    assert ids[0] == ids[1]
    assert len(lab.instances()) == 2


def test_the_same_token_finds_its_nodes_when_google_has_forgotten_the_request(
    provider: GcpProvider, lab: GcpLab
) -> None:
    first = provider.create(offer(), batch(2))
    lab.cloud.requests.clear()
    assert {n.id for n in provider.create(offer(), batch(2)).nodes} == {n.id for n in first.nodes}
    assert len(lab.instances()) == 2


def test_a_lost_request_makes_nothing_and_is_asked_again(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.faults.lose_request(INSERT)
    with pytest.raises(LostReplyError):
        provider.create(offer(), batch(2))
    assert lab.instances() == {}
    assert len(provider.create(offer(), batch(2)).nodes) == 2


def test_a_lost_answer_to_a_wait_is_not_a_lost_create(provider: GcpProvider, lab: GcpLab) -> None:
    lab.faults.lose_reply("compute.zoneOperations.wait")
    with pytest.raises(ThrottledError):
        provider.create(offer(), batch(2))
    assert len(provider.create(offer(), batch(2)).nodes) == 2
    assert len(lab.instances()) == 2


def test_a_wait_that_ends_early_is_repeated(provider: GcpProvider, lab: GcpLab) -> None:
    provider.create(offer(), batch())
    lab.timing.longest_wait = 0.0
    lab.timing.operation = 0.5
    assert len(provider.create(offer(), batch(token="token-1")).nodes) == 1
    assert lab.called().count("zoneOperations.wait") >= 3


def test_nodes_that_listings_still_lack_are_given_all_the_same(
    provider: GcpProvider, lab: GcpLab
) -> None:
    lab.timing.listing_delay = 3600.0
    created = provider.create(offer(), batch(3))
    assert len(created.nodes) == 3
    assert created.shortfall is None
    assert provider.nodes(SCOPE) == []


def test_a_slow_boot_is_pending(provider: GcpProvider, lab: GcpLab) -> None:
    lab.timing.boot = 3600.0
    (node,) = provider.create(offer(), batch()).nodes
    assert node.state is NodeState.PENDING


def test_a_remembered_image_that_is_gone_is_looked_up_again(
    provider: GcpProvider, lab: GcpLab
) -> None:
    images = provider._cloud.images
    there = images.for_architecture("X86_64")
    gone = there.self_link.replace(there.name, "golden-v7")
    images._known["X86_64"] = replace(there, self_link=gone)
    (node,) = provider.create(offer(), batch()).nodes
    assert node.name in lab.instances()
    assert lab.called().count("instances.bulkInsert") == 2


@pytest.mark.parametrize(
    "words",
    [
        "The resource 'projects/lab-project/global/images/mine-v1' was not found",
        "Invalid value for field 'x.sourceImage': The referenced image resource cannot be found.",
    ],
)
def test_an_image_that_vanishes_under_an_operation_is_looked_up_once_more_and_then_told(
    provider: GcpProvider, lab: GcpLab, words: str
) -> None:
    lab.faults.limit(0, trouble=Trouble("RESOURCE_NOT_FOUND", words))
    with pytest.raises(ProviderError, match="found") as caught:
        provider.create(offer(), batch())
    assert type(caught.value) is ProviderError
    assert lab.called().count("images.list") == 2


def test_a_token_of_64_characters_still_names_instances(provider: GcpProvider) -> None:
    long = batch(token="t" * 64, labels={**LABELS, labels.BATCH: "short"})
    (node,) = provider.create(offer(), long).nodes
    assert len(node.name) <= 63
    other = replace(long, token="t" * 63 + "u", labels={**LABELS, labels.BATCH: "other"})
    assert provider.create(offer(), other).nodes[0].name != node.name


def test_a_batch_of_more_than_a_thousand_is_several_calls(
    provider: GcpProvider, lab: GcpLab
) -> None:
    created = provider.create(offer(), batch(1001))
    assert len(created.nodes) == 1001
    assert lab.called().count("instances.bulkInsert") == 2
