"""What would stop a run on AWS, found without making anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch, Market, Offer, Problem
from spotdeploy_aws.actions import Action
from spotdeploy_aws.cloud import Cloud
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.offers import sold
from spotdeploy_aws.request import Site, run_instances
from spotdeploy_libcloud.doctor import problems_of

DRY_RUN_OK: Final = "DryRunOperation"


def examine(cloud: Cloud, config: AwsConfig) -> list[Problem]:
    """Identity, account, network, sizes, images and the permission to launch."""
    first = problems_of(lambda: _identity(cloud))
    if first:
        return first
    found = problems_of(lambda: _network(cloud)) + problems_of(lambda: _sizes(cloud, config.sizes))
    return found or problems_of(lambda: _permission(cloud, config))


def _identity(cloud: Cloud) -> list[Problem]:
    cloud.identity  # noqa: B018  # it raises when the credentials are no good
    cloud.check_account()
    return []


def _network(cloud: Cloud) -> list[Problem]:
    cloud.network.places  # noqa: B018  # it raises when there is nowhere to put a node
    return []


def _sizes(cloud: Cloud, sizes: Sequence[str]) -> Iterator[Problem]:
    exist = sold(cloud.driver, sizes)
    zones = {place.zone for place in cloud.network.places}
    usable = [size for size in sizes if any((zone, size) in exist for zone in zones)]
    for size in sizes:
        if size not in usable:
            what = f"{size} is not sold in the usable zones of {cloud.driver.region_name}"
            yield Problem(what, "check provider.aws.sizes", fatal=not usable)
    for size in usable:
        cloud.images.for_size(size)


def _permission(cloud: Cloud, config: AwsConfig) -> list[Problem]:
    """Ask for the launch itself with DryRun, which checks the permission and makes nothing:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"""
    place, size = cloud.network.places[0], config.sizes[0]
    offer = Offer("aws", cloud.driver.region_name, place.zone, size, Market.SPOT)
    labels = {names.DEPLOYMENT: "doctor", names.RUN: "doctor"}
    batch = Batch("spotdeploy-doctor", 1, labels, b"", "doctor")
    site = Site(place, cloud.images.for_size(size), None)
    request = {**run_instances(offer, batch, site, config), "DryRun": True}
    try:
        cloud.driver.call(Action.RUN_INSTANCES, request)
    except ProviderError as error:
        if error.code != DRY_RUN_OK:
            raise
    return []
