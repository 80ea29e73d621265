"""Making a batch of instances with one call."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Batch, Created, Node, Offer
from spotdeploy_aws.actions import Action
from spotdeploy_aws.cloud import Cloud
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.network import NO_GROUP, patiently
from spotdeploy_aws.request import MAX_LAUNCH, Site, check, run_instances

REFILL: Final = 2.0
"""Instances a second that an account may launch once its bucket of `MAX_LAUNCH` is empty:
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html"""
SERVED: Final = 240
"""Instances for which the bucket is full enough before the two minutes end for which a throttled
call is repeated anyway."""
NO_IMAGE: Final = ("InvalidAMIID.", "InvalidBlockDeviceMapping")


def create_batch(cloud: Cloud, config: AwsConfig, offer: Offer, batch: Batch) -> Created:
    """Make the batch. The same token again gives the same instances.

    Raises what `Provider.create` names, and ConfigError for user-data that is too large.
    """
    check(batch)
    cloud.check_account()
    place = cloud.network.place(offer.zone)
    groups, besides = cloud.network.groups(place, batch), cloud.prices.besides
    site = Site(place, cloud.images.for_size(offer.size), groups, besides)
    try:
        nodes = patiently(lambda: _run(cloud, config, offer, batch, site))
    except ProviderError as error:
        code = error.code or ""
        if code.startswith(NO_GROUP):
            cloud.network.forget_groups()
        if not code.startswith(NO_IMAGE):
            raise
        cloud.images.forget()
        fresh = replace(site, image=cloud.images.for_size(offer.size))
        if fresh == site:
            raise
        nodes = _run(cloud, config, offer, batch, fresh)
    return Created(nodes, _shortfall(len(nodes), batch.count))


def _run(
    cloud: Cloud, config: AwsConfig, offer: Offer, batch: Batch, site: Site
) -> tuple[Node, ...]:
    parameters = run_instances(offer, batch, site, config)
    try:
        answer = cloud.api.call(Action.RUN_INSTANCES, parameters, repeatable=False)
    except ThrottledError as error:
        if error.code == "RequestLimitExceeded" and batch.count > SERVED:
            error.retry_after = min(batch.count, MAX_LAUNCH) / REFILL
        raise
    return tuple(cloud.nodes.of(found) for found in answer.get("Instances", ()))


def _shortfall(got: int, asked: int) -> str | None:
    """RunInstances launches as many as it has capacity for, and does not say why not more."""
    if MAX_LAUNCH <= got < asked:
        return f"EC2 launches at most {MAX_LAUNCH} at once, and was asked for {asked}"
    return f"EC2 had capacity for {got} of {asked}" if got < asked else None
