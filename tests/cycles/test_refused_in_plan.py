"""What plan can ask a cloud is asked before anything is destroyed: the old nodes still run.

On the labs of the three clouds without machines: nothing is booted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from spotdeploy import labels
from spotdeploy.model import Batch
from tests.cycles.project import Done
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import OWN_IMAGE
from tests.labs.azure import AzureLab
from tests.labs.clouds import CLOUDS, AnyLab
from tests.labs.gcp import GcpLab, catalogue
from tests.labs.lab_project import LabProject

LABS: Mapping[str, Callable[[Path], AnyLab]] = {
    "aws": AwsLab,
    "gcp": GcpLab,
    "azure": lambda _: AzureLab(),
}


class Shop(LabProject):
    """A project that has a node in a lab, from an earlier run."""

    cloud: str

    @property
    def table(self) -> dict[str, Any]:
        """Its `[provider.NAME]`."""
        table: dict[str, Any] = self.config["provider"][self.cloud]
        return table

    def refused(self, *words: str, code: int = 2) -> Done:
        """A cycle that is refused in plan, with these words, while the old node goes on."""
        lab = self._labs[0]
        before = lab.ids()
        assert len(before) == 1
        self.write()
        assert self.run("plan").code == code
        done = self.run("cycle")
        assert done.code == code, done
        assert all(word in done.err for word in words), done
        assert "Destroying" not in done.out
        assert lab.ids() == before
        return done


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """One on each cloud."""
    cloud = CLOUDS[request.param]
    with LABS[cloud.name](tmp_path) as lab:
        os.environ.update(lab.environment)
        shop = Shop(tmp_path / "project", "shop", [lab], {cloud.name: cloud.table(lab)})
        shop.cloud = cloud.name
        marks = labels.for_batch("shop", "20260101-120000-abc123", "old", "d" * 40, 9e9)
        cloud.open(lab).create(cloud.offer, Batch("old", 1, marks, b"true\n", "spotdeploy"))
        lab.forget_calls()
        yield shop
        assert lab.wrong == []


def on(*clouds: str) -> pytest.MarkDecorator:
    """Only there."""
    return pytest.mark.parametrize("shop", clouds, indirect=True)


@on("aws", "gcp", "azure")
def test_private_addresses_without_allow_from(shop: Shop) -> None:
    shop.table["address"] = "private"
    shop.refused(f'provider.{shop.cloud}.address is "private"', "try: give the CIDRs")


@on("aws", "gcp")
def test_an_image_that_is_not_there(shop: Shop) -> None:
    name = "ami-0123456789abcdef0" if shop.cloud == "aws" else "never-made"
    shop.table["image"] = name
    shop.refused(f"image '{name}'", f"try: check provider.{shop.cloud}.image")


@on("azure")
def test_private_addresses_in_a_network_of_the_runs_own(shop: Shop) -> None:
    shop.table["address"] = "private"
    shop.config["nodes"]["allow_from"] = ["10.0.0.0/8"]
    shop.refused("provider.azure.subnet is needed", "try: give the id of a subnet")


@on("azure")
def test_an_image_id_of_another_kind(shop: Shop) -> None:
    group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute"
    shop.table["image"] = f"{group}/galleries/g/applications/a"
    shop.refused("provider.azure.image: ", "image version in a gallery")


@on("azure")
def test_a_location_that_does_not_exist(shop: Shop) -> None:
    shop.table["locations"] = ["eastus", "eastus9"]
    shop.refused("in eastus9", "az account list-locations")


SUBNET = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/net/providers"
    "/Microsoft.Network/virtualNetworks/net/subnets/nodes"
)


@on("azure")
def test_a_subnet_for_two_locations(shop: Shop) -> None:
    shop.table.update(locations=["eastus", "westeurope"], subnet=SUBNET)
    shop.refused("provider.azure.subnet is in one location", "[provider.azure.location.westeurope]")


@on("azure")
def test_a_table_of_a_location_that_is_not_in_use(shop: Shop) -> None:
    shop.table.update(locations=["eastus"], location={"westeurop": {"zones": ["1"]}})
    shop.refused("provider.azure.location.westeurop", "these are eastus")


@on("azure")
def test_a_zone_that_has_none_of_the_sizes(shop: Shop) -> None:
    shop.table.update(locations=["eastus"], location={"eastus": {"zones": ["7"]}})
    shop.refused("zone 7 of eastus has none of the sizes", "those that have are 1")


@on("azure")
def test_an_image_of_another_kind_in_one_of_two_locations(shop: Shop) -> None:
    image = f"{SUBNET.partition('/providers')[0]}/providers/Microsoft.Compute/disks/d"
    shop.table.update(locations=["eastus", "westeurope"], location={"westeurope": {"image": image}})
    shop.refused("provider.azure.image: ", "azure westeurope")


@on("azure")
def test_networks_that_overlap_are_no_reason(shop: Shop) -> None:
    shop.config["nodes"]["allow_from"] = ["10.0.0.0/8", "10.1.2.0/24", "203.0.113.7", "203.0.113.7"]
    shop.write()
    assert shop.run("plan").code == 0


@on("azure")
def test_an_image_that_is_no_image(shop: Shop) -> None:
    shop.table["image"] = "Canonical:ubuntu"
    shop.refused("provider.azure.image: 'Canonical:ubuntu'", "publisher:offer:sku:version")


@on("aws")
def test_an_image_of_another_architecture_than_one_of_the_sizes(shop: Shop) -> None:
    shop.table.update(image=OWN_IMAGE, sizes=["t3.small", "t4g.small"])
    shop.refused(f"no arm64 image '{OWN_IMAGE}'", "try: check provider.aws.image")


@on("aws")
def test_a_disk_smaller_than_the_image_on_aws(shop: Shop) -> None:
    shop._labs[0].cloud.image_sizes[OWN_IMAGE] = 31  # type: ignore[attr-defined]  # of AWS
    shop.table["image"] = OWN_IMAGE
    shop.refused("root_volume_gb is 16, and image", "try: set root_volume_gb = 31 under")


@on("gcp")
def test_a_disk_smaller_than_the_image_on_gcp(shop: Shop) -> None:
    shop.table.update(image=catalogue.BIG, root_volume_gb=39)
    shop.refused("root_volume_gb is 39, and image big-v1 needs 40", "set root_volume_gb = 40")


@on("aws", "gcp", "azure")
def test_a_size_that_is_not_sold(shop: Shop) -> None:
    wrong, near = {
        "aws": ("t3.smal", "t3.small"),
        "gcp": ("e2-smal", "e2-small"),
        "azure": ("Standard_D2as_v55", "Standard_D2as_v5"),
    }[shop.cloud]
    shop.table["sizes"] = [wrong]
    shop.refused(wrong, f"try: did you mean {near}? check provider.{shop.cloud}.sizes")


@on("gcp")
@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"network": "custom"}, ("network custom is in custom mode", "try: set it; those in")),
        (
            {"network": "custom", "subnetwork": "outer"},
            ("network custom has no subnetwork outer in us-central1", "are inner"),
        ),
        ({"regions": ["mars-north1"]}, ("regions/mars-north1' was not found", "europe-west4")),
        ({"zones": ["us-central1-a", "us-central1-q"]}, ("no zone us-central1-q in us-central1",)),
        ({"zones": ["us-central1-b", "europe-west4-a"]}, ("europe-west4-a in a region of",)),
        (
            {"zones": ["us-central1-c"], "sizes": ["t2a-standard-1"]},
            ("t2a-standard-1 is not sold",),
        ),
        (
            {"disk_type": "pd-balanced", "sizes": ["n4-standard-2"]},
            ("n4-standard-2 does not take",),
        ),
    ],
)
def test_what_gcp_does_not_have_or_does_not_put_together(
    shop: Shop, table: dict[str, Any], words: tuple[str, ...]
) -> None:
    shop.table.update(table)
    shop.refused(*words)


@on("gcp")
def test_a_project_whose_os_login_wants_a_second_factor(shop: Shop) -> None:
    metadata = {"enable-oslogin": "TRUE", "enable-oslogin-2fa": "TRUE"}
    shop._labs[0].cloud.metadata.update(metadata)  # type: ignore[attr-defined]  # of GCP
    shop.refused("asks for a second factor at OS Login", "try: set os_login = false")


@on("aws", "gcp", "azure")
def test_a_tag_that_the_cloud_refuses(shop: Shop) -> None:
    key, tags = ("labels", {"Team": "x"}) if shop.cloud == "gcp" else ("tags", {"aws:/": "x"})
    shop.table[key] = tags
    shop.refused(f"provider.{shop.cloud}.{key}", next(iter(tags)))


@on("azure")
def test_a_quota_that_is_too_small_even_without_the_old_node(shop: Shop) -> None:
    shop._labs[0].cloud.spot_limit = 3  # type: ignore[attr-defined]  # of Azure
    shop.refused("has room for 3 of 3, and this run needs 4", code=3)


@on("aws")
def test_a_permission_that_is_missing(shop: Shop) -> None:
    lab = shop._labs[0]
    words = "You are not authorized to perform this operation"
    lab.faults.refuse("RunInstances (dry run)", "UnauthorizedOperation", words, times=9, status=403)
    shop.refused("not authorized", code=3)


@on("aws")
def test_the_calls_of_plan_are_few(shop: Shop) -> None:
    """The image, its architecture and the size of its volume are two of them; quotas, rights and
    prices six."""
    shop.write()
    assert shop.run("plan").code == 0
    assert sorted(shop._labs[0].called()) == [
        "DescribeImages",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeInstances",
        "DescribeSpotPriceHistory",
        "DescribeSubnets",
        "GetCallerIdentity",
        "GetProducts",
        "GetRole",
        "GetServiceQuota",
        "RunInstances",
        "TerminateInstances",
    ]


@on("aws")
def test_a_quota_that_is_too_small_even_without_the_old_node_on_aws(shop: Shop) -> None:
    quotas = shop._labs[0].cloud.quotas  # type: ignore[attr-defined]  # of AWS
    quotas.applied["L-34B43A08"] = 3.0
    shop.refused("has room for 3 of 3 vCPUs, and this run needs 4", code=3)


@on("aws", "azure")
def test_a_quota_that_the_groups_together_exceed(shop: Shop) -> None:
    cloud = shop._labs[0].cloud
    if shop.cloud == "azure":
        cloud.spot_limit = 6  # type: ignore[attr-defined]
    else:
        cloud.quotas.applied["L-34B43A08"] = 6.0  # type: ignore[attr-defined]
    shop.config["groups"] = {"head": {"count": 1}, "worker": {"count": 2}}
    shop.write()
    assert shop.run("plan").code == 0
    shop.config["groups"]["worker"]["count"] = 3
    shop.refused("has room for 6 of 6", "and this run needs 8", code=3)
    shop.config["groups"]["worker"]["quorum"] = 2
    shop.write()
    assert shop.run("plan").code == 0


@on("aws", "gcp", "azure")
def test_an_entry_that_no_node_could_run(shop: Shop) -> None:
    shop.config["payload"]["entry"] = "deploy"
    shop.file("deploy", "#!/bin/bash\n")
    shop.refused("instance/deploy is not executable", "try: chmod +x")
    shop.file("deploy", "#!/bin/bash\r\n", mode=0o755)
    shop.refused("deploy ends as on Windows (CRLF)", "try: sed -i")
    shop.file("deploy", "#!/tmp/env/bin/python\n", mode=0o755)
    shop.refused("names '/tmp/env/bin/python'", "try: name one that the image has")
