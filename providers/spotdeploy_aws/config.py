"""`[provider.aws]`: which account, where, and what kind of machines."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Annotated, ClassVar, Literal

import msgspec

from spotdeploy.provider import ProviderConfig
from spotdeploy_libcloud.trust import require_own_host

Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d+$", examples=["us-west-2"])]
RegionPattern = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9*-]+$", examples=["ap-*"])]
Size = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", examples=["t3.small"])]
SubnetId = Annotated[
    str, msgspec.Meta(pattern=r"^subnet-[0-9a-f]+$", examples=["subnet-0123456789abcdef0"])
]
AccountId = Annotated[str, msgspec.Meta(pattern=r"^\d{12}$", examples=["123456789012"])]


class AwsConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `[provider.aws]`. Everything has a default that suits a fresh account."""

    of_account: ClassVar = frozenset({"profile", "account", "endpoint"})

    profile: str | None = None
    """The profile of ~/.aws/config; the usual chain of the AWS tools when left out."""
    account: AccountId | None = None
    """The only account in which anything may be created or destroyed."""
    regions: tuple[Region, ...] = ()
    """First choice first; the profile's or environment's region when left out."""
    closed_regions: tuple[RegionPattern, ...] = ()
    """Regions that a policy closes to the account, such as `ap-*`: `reap` does not look there."""
    sizes: Annotated[tuple[Size, ...], msgspec.Meta(min_length=1)] = ("t3.small", "t3a.small")
    """Instance types, first choice first."""
    image: str = "ubuntu-lts"
    """`ubuntu-lts`, an AMI's id, or a pattern of AMI names such as `my-image-*` (newest wins)."""
    image_owner: str = "self"
    """Whose images a name pattern may match: an account's id, `self` or `amazon`."""
    subnets: tuple[SubnetId, ...] = ()
    """Where to put nodes; the default subnets of the default VPC when left out."""
    address: Literal["public", "private"] = "public"
    """Which address of a node ssh dials; with `private`, nodes get no public one."""
    root_volume_gb: Annotated[int, msgspec.Meta(ge=1, le=16384)] = 16
    """Size of the gp3 root volume in GiB."""
    cpu_credits: Literal["standard", "unlimited"] = "standard"
    """How burstable sizes (T) go on when their credits are used up: slower, or at a charge."""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    """More tags for everything that is created, such as a cost centre."""
    endpoint: str | None = None
    """URL of another EC2 API of AWS's, such as a VPC endpoint's. One of anybody else's is named in
    AWS_ENDPOINT_URL_EC2."""
    address_service: str = "https://checkip.amazonaws.com"
    """Asked for this computer's own address when `nodes.allow_from` is left out."""

    def __post_init__(self) -> None:
        """Raises ConfigError where credentials would go to another host than AWS's."""
        if self.endpoint is not None:
            own = own_hosts()
            require_own_host("provider.aws.endpoint", self.endpoint, own, "AWS_ENDPOINT_URL_EC2")


@cache
def own_hosts() -> str:
    """A pattern of the hosts of EC2's API in all of AWS's partitions, as botocore knows them: its
    public ones, with FIPS or two stacks too, and those of VPC endpoints. Other hosts below these
    domains may be customers'.

    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-endpoints.html,
    https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
    """
    text = files("botocore").joinpath("data", "partitions.json").read_text("utf-8")
    outputs = [partition["outputs"] for partition in json.loads(text)["partitions"]]
    names = {one[key] for one in outputs for key in ("dnsSuffix", "dualStackDnsSuffix")}
    domains = "|".join(re.escape(name) for name in sorted(names))
    region = r"[a-z]{2,4}(-[a-z]+)+-\d+"
    return (
        rf"ec2(-fips)?(\.{region})?\.({domains})|"
        rf"([a-z0-9-]+\.)?vpce-[a-z0-9-]+\.ec2(-fips)?\.{region}\.vpce\.({domains})"
    )
