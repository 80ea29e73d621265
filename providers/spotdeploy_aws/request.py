"""The RunInstances request. Pure functions: what is asked for, as data.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about a launch that had to be looked up."""

    place: Place
    image: Image
    group: str | None
    """The security group's id; None only where nothing is launched."""


def run_instances(offer: Offer, batch: Batch, site: Site, config: AwsConfig) -> Parameters:
    """The parameters of the one call that makes a whole batch.

    Raises ConfigError when the user-data is larger than EC2 takes.
    """
    check(batch)
    return {
        "MinCount": 1,
        "MaxCount": batch.count,
        "ClientToken": batch.token,
        "ImageId": site.image.id,
        "InstanceType": offer.size,
        "UserData": batch.user_data,  # which botocore encodes
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [_root_volume(site.image, config)],
        "NetworkInterfaces": [_interface(site, config)],
        "TagSpecifications": _tags(offer.market, {**config.tags, **batch.labels}),
        **_market(offer.market, batch.max_usd_per_hour),
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
        "Groups": [site.group] if site.group else [],
    }


def _tags(market: Market, labels: Mapping[str, str]) -> list[Parameters]:
    kinds = ["instance", "volume", "network-interface"]
    if market is Market.SPOT:
        kinds.append("spot-instances-request")
    name = {"Name": f"{labels[names.DEPLOYMENT]} {labels[names.RUN]}"}
    return [tag_specification(kind, {**name, **labels}) for kind in kinds]


def _market(market: Market, bid: float | None) -> Parameters:
    if market is not Market.SPOT:
        return {}
    options: dict[str, Value] = {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
    }
    if bid is not None:
        options["MaxPrice"] = f"{bid:.6f}"
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}
