"""The RunInstances request. Pure functions: what is asked for, as data.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spotdeploy import labels as names
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.schemas import Image, Parameters, Place, Value
from spotdeploy_libcloud.request import check_user_data

USER_DATA_LIMIT: Final = 16384
"""Bytes before base64: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""
MAX_LAUNCH: Final = 1000
"""Instances in one call: the bucket from which they are taken holds no more, so a larger call is
throttled for ever (https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html)."""
BURSTABLE: Final = re.compile(r"t\d")


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about a launch that had to be looked up."""

    place: Place
    image: Image
    groups: tuple[str, ...]
    """The ids of the security groups; none only where nothing is launched."""
    usd_besides: float = 0.0
    """What a node costs an hour besides its instance."""


def run_instances(offer: Offer, batch: Batch, site: Site, config: AwsConfig) -> Parameters:
    """The parameters of the one call that makes a whole batch.

    Raises ConfigError when the user-data is larger than EC2 takes.
    """
    check(batch)
    return {
        "MinCount": 1,
        "MaxCount": min(batch.count, MAX_LAUNCH),
        "ClientToken": batch.token,
        "ImageId": site.image.id,
        "InstanceType": offer.size,
        "UserData": batch.user_data,  # which botocore encodes
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [_root_volume(site.image, config)],
        "NetworkInterfaces": [_interface(site, config)],
        "TagSpecifications": _tags(offer.market, {**config.tags, **batch.labels}),
        **_credits(offer.size, config),
        **_market(offer.market, batch.max_usd_per_hour, site.usd_besides),
    }


def check(batch: Batch) -> None:
    """Raises ConfigError, with both sizes, when user-data is larger than EC2 takes."""
    check_user_data(batch.user_data, USER_DATA_LIMIT, "EC2")


def tag_specification(kind: str, labels: Mapping[str, str]) -> Parameters:
    """One kind of resource and the tags it is created with."""
    tags: list[Value] = [{"Key": key, "Value": value} for key, value in labels.items()]
    return {"ResourceType": kind, "Tags": tags}


def _root_volume(image: Image, config: AwsConfig) -> Parameters:
    return {
        "DeviceName": image.root_device,
        "Ebs": {
            "VolumeType": "gp3",
            "VolumeSize": config.root_volume_gb,
            "DeleteOnTermination": True,
        },
    }


def _interface(site: Site, config: AwsConfig) -> Parameters:
    return {
        "DeviceIndex": 0,
        "SubnetId": site.place.subnet,
        "AssociatePublicIpAddress": config.address == "public",
        "DeleteOnTermination": True,
        "Groups": list(site.groups),
    }


def _tags(market: Market, labels: Mapping[str, str]) -> list[Parameters]:
    kinds = ["instance", "volume", "network-interface"]
    if market is Market.SPOT:
        kinds.append("spot-instances-request")
    name = {"Name": f"{labels[names.DEPLOYMENT]} {labels[names.RUN]}"}
    return [tag_specification(kind, {**name, **labels}) for kind in kinds]


def _credits(size: str, config: AwsConfig) -> Parameters:
    """Burstable sizes alone take it; without it AWS's default is unlimited for T3 and later, and a
    busy node is then billed beyond its price:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances-unlimited-mode.html
    """
    if not BURSTABLE.match(size):
        return {}
    return {"CreditSpecification": {"CpuCredits": config.cpu_credits}}


def _market(market: Market, most: float | None, besides: float) -> Parameters:
    """`most` is what a node may cost with all that it has; the bid is for the instance alone."""
    if market is not Market.SPOT:
        return {}
    options: dict[str, Value] = {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
    }
    if most is not None:
        options["MaxPrice"] = f"{max(most - besides, 0.0001):.6f}"
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}
