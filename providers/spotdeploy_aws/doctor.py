"""What would stop a run on AWS, found without making anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch, Market, Offer, Problem
from spotdeploy_aws.actions import Action
from spotdeploy_aws.cloud import Cloud
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.request import Site, run_instances
from spotdeploy_libcloud.doctor import problems_of

DRY_RUN_OK: Final = "DryRunOperation"
MAX_TAGS: Final = 50
MAX_TAG_KEY: Final = 128
MAX_TAG_VALUE: Final = 256


def examine(cloud: Cloud, config: AwsConfig) -> list[Problem]:
    """Identity, account, network, sizes, images and the permission to launch."""
    first = problems_of(lambda: _identity(cloud))
    if first:
        return first
    found = problems_of(lambda: _network(cloud)) + problems_of(lambda: _sizes(cloud, config.sizes))
    if any(problem.fatal for problem in found):
        return found
    return found + problems_of(lambda: _permission(cloud, config))


def objections(cloud: Cloud, config: AwsConfig, batch: Batch) -> list[Problem]:
    """What EC2 would refuse of a batch; see `SupportsPlan`."""
    return [
        *cloud.network.own_address.objections(batch),
        *_tags(config.tags, len(batch.labels)),
        *problems_of(lambda: _disk(cloud, config)),
    ]


def _identity(cloud: Cloud) -> list[Problem]:
    cloud.identity  # noqa: B018  # it raises when the credentials are no good
    cloud.check_account()
    return []


def _network(cloud: Cloud) -> list[Problem]:
    cloud.network.places  # noqa: B018  # it raises when there is nowhere to put a node
    return []


def _sizes(cloud: Cloud, sizes: Sequence[str]) -> Iterator[Problem]:
    usable = _usable(cloud, sizes)
    for size in sizes:
        if size not in usable:
            what = f"{size} is not sold in the usable zones of {cloud.api.region}"
            yield Problem(what, "check provider.aws.sizes", fatal=not usable, exit_code=2)
    for size in usable:
        cloud.images.for_size(size)


def _usable(cloud: Cloud, sizes: Sequence[str]) -> list[str]:
    zones = {place.zone for place in cloud.network.places}
    return [size for size in sizes if any((zone, size) in cloud.sold for zone in zones)]


def _disk(cloud: Cloud, config: AwsConfig) -> Iterator[Problem]:
    """A volume may not be smaller than its snapshot:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html"""
    given = config.root_volume_gb
    for image in {cloud.images.for_size(size) for size in _usable(cloud, config.sizes)}:
        if image.root_gb > given:
            yield Problem(
                f"provider.aws.root_volume_gb is {given}, and image {image.id} needs "
                f"{image.root_gb}",
                f"set root_volume_gb = {image.root_gb} under [provider.aws]",
                exit_code=2,
            )


def _tags(tags: Mapping[str, str], ours: int) -> Iterator[Problem]:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions"""
    most = MAX_TAGS - ours - 1  # with the name
    if len(tags) > most:
        what = f"provider.aws.tags has {len(tags)} tags; EC2 takes {most} besides ours"
        yield Problem(what, "leave some out", exit_code=2)
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            what = f"provider.aws.tags: {key!r} begins with aws:, which is AWS's own"
            yield Problem(what, "choose another key", exit_code=2)
        elif not 1 <= len(key) <= MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
            what = f"provider.aws.tags: {key[:80]!r} or its value is too long"
            remedy = f"EC2 takes {MAX_TAG_KEY} characters of a key, {MAX_TAG_VALUE} of a value"
            yield Problem(what, remedy, exit_code=2)


def _permission(cloud: Cloud, config: AwsConfig) -> list[Problem]:
    """Ask for the launch itself with DryRun, which checks the permission and makes nothing:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html"""
    place, size = cloud.network.places[0], _usable(cloud, config.sizes)[0]
    offer = Offer("aws", cloud.api.region, place.zone, size, Market.SPOT)
    labels = {names.DEPLOYMENT: "doctor", names.RUN: "doctor"}
    batch = Batch("spotdeploy-doctor", 1, labels, b"", "doctor")
    site = Site(place, cloud.images.for_size(size), None)
    request = {**run_instances(offer, batch, site, config), "DryRun": True}
    try:
        cloud.api.call(Action.RUN_INSTANCES, request)
    except ProviderError as error:
        if error.code != DRY_RUN_OK:
            raise
    return []
