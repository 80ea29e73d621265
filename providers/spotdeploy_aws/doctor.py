"""What would stop a run on AWS, found without making anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch, Market, Offer, Pool, Problem
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.cloud import Cloud
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.errors import CODES, MISSING
from spotdeploy_aws.quotas import running
from spotdeploy_aws.request import Site, run_instances
from spotdeploy_aws.schemas import tags
from spotdeploy_libcloud.doctor import did_you_mean, problems_of
from spotdeploy_libcloud.quota import share

DRY_RUN_OK: Final = "DryRunOperation"
NOBODY: Final = "i-00000000000000000"
"""The id of no instance."""
SPOT_ROLE: Final = "AWSServiceRoleForEC2Spot"
NO_SPOT_ROLE: Final = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
MAX_TAGS: Final = 50
MAX_TAG_KEY: Final = 128
MAX_TAG_VALUE: Final = 256


def examine(cloud: Cloud, config: AwsConfig) -> list[Problem]:
    """Identity, account, network, sizes, images, the permissions to launch and to end, the role for
    spot, and room for a node. A warning hides nothing."""
    first = problems_of(lambda: _identity(cloud))
    if first:
        return [replace(one, remedy=_near_region(cloud, one.remedy)) for one in first]
    found = problems_of(lambda: _network(cloud)) + problems_of(lambda: _sizes(cloud, config.sizes))
    if any(problem.fatal for problem in found):
        return found
    return [
        *found,
        *problems_of(lambda: _permission(cloud, config)),
        *problems_of(lambda: _beside_what_runs(cloud, config)),
        *problems_of(lambda: _spot_role(cloud)),
    ]


def objections(cloud: Cloud, config: AwsConfig, pool: Pool, batch: Batch) -> list[Problem]:
    """What EC2 would refuse of a batch; see `SupportsPlan`."""
    return [
        *cloud.network.own_address.objections(batch),
        *_tags(config.tags, len(batch.labels)),
        *problems_of(lambda: _disk(cloud, config)),
        *problems_of(lambda: _quotas(cloud, config, pool, batch)),
    ]


def _identity(cloud: Cloud) -> list[Problem]:
    cloud.identity  # noqa: B018  # it raises when the credentials are no good
    cloud.check_account()
    return []


def _near_region(cloud: Cloud, remedy: str) -> str:
    """The remedy, with the nearest region where botocore knows none of this name: a new one it may
    not know yet, so it is no more than a guess at why AWS does not answer."""
    known = cloud.chain.known_regions()
    return remedy if cloud.region in known else did_you_mean(cloud.region, known, remedy)


def _network(cloud: Cloud) -> list[Problem]:
    cloud.network.places  # noqa: B018  # it raises when there is nowhere to put a node
    return []


def _sizes(cloud: Cloud, sizes: Sequence[str]) -> Iterator[Problem]:
    usable = _usable(cloud, sizes)
    for size in sizes:
        if size not in usable:
            what = f"{size} is not sold in the usable zones of {cloud.api.region}"
            remedy = did_you_mean(size, cloud.chain.known_sizes(), "check provider.aws.sizes")
            yield Problem(what, remedy, fatal=not usable, exit_code=2)
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


def _quotas(cloud: Cloud, config: AwsConfig, pool: Pool, batch: Batch) -> list[Problem]:
    count, fatal = share(pool, batch, config.regions)
    own = batch.labels[names.DEPLOYMENT]
    return cloud.quotas.shortages(
        config.sizes,
        pool.policy.markets,
        count,
        lambda: running(cloud.api, without=own),
        fatal=fatal,
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
    site = Site(place, cloud.images.for_size(size), ())
    request = {**run_instances(offer, batch, site, config), "DryRun": True}
    try:
        cloud.api.call(Action.RUN_INSTANCES, request)
    except ProviderError as error:
        if error.code != DRY_RUN_OK:
            raise
    return []


def _beside_what_runs(cloud: Cloud, config: AwsConfig) -> Iterator[Problem]:
    """The right to end, and room for one spot node: a warning, since what runs may be this
    deployment's."""
    found = running(cloud.api)
    ours = [one["InstanceId"] for one in found if names.DEPLOYMENT in tags(one)]
    yield from _right_to_end(cloud.api, ours)
    spot = (Market.SPOT,)
    yield from cloud.quotas.shortages(config.sizes, spot, 1, lambda: found, fatal=False)


def _right_to_end(api: Api, ours: Sequence[str]) -> Iterator[Problem]:
    """Ask to end an instance of ours with DryRun. Where there is none, ask for one that does not
    exist: a policy that asks for tags refuses that, so that the answer is no proof."""
    try:
        ids = [*ours, NOBODY][:1]
        api.call(Action.TERMINATE_INSTANCES, {"InstanceIds": ids, "DryRun": True})
    except ProviderError as error:
        if error.code in (DRY_RUN_OK, *MISSING):
            return
        if error.code != "UnauthorizedOperation":
            raise
        sure = bool(ours) or "explicit deny" in error.message
        doubt = "" if sure else "; a policy that lets end what has our tags is well all the same"
        yield Problem(error.message, f"{error.hint}{doubt}", fatal=sure)


def _spot_role(cloud: Cloud) -> Iterator[Problem]:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html:
    the first spot request makes it where that is permitted, so its absence is a warning. Silent
    where it may not be looked for."""
    try:
        cloud.api.call(Action.GET_ROLE, {"RoleName": SPOT_ROLE})
    except ProviderError as error:
        if error.code == "NoSuchEntity":
            what = f"the account has no role {SPOT_ROLE}, which EC2 needs for spot"
            yield Problem(what, CODES.hints[NO_SPOT_ROLE], fatal=False)
