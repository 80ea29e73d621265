"""What EC2 does not launch, whatever capacity there is. moto launches all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.labs.aws.call import AwsError, Call, Reply, get, named
from tests.labs.aws.quotas import Quotas, quota_of
from tests.labs.aws.roles import Roles

Forward = Callable[[Call, dict[str, str]], Reply]
"""Sends parameters to moto under the call's headers."""
MOTO_VOLUME: Final = 15
"""GiB of each image's snapshot."""
NOT_ELIGIBLE: Final = (
    "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance "
    "types, run 'describe-instance-types' with the filter 'free-tier-eligible=true'."
)


class SizeFacts(NamedTuple):
    """What DescribeInstanceTypes says of a size."""

    cpus: int
    architectures: tuple[str, ...]
    free: bool


@dataclass
class LaunchRules:
    """The rules of one account."""

    forward: Forward
    quotas: Quotas = field(default_factory=Quotas)
    roles: Roles = field(default_factory=Roles)
    free_plan: bool = False
    """True for an account on the free plan, which gets eligible sizes only:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-free-tier-usage.html"""
    image_sizes: dict[str, int] = field(default_factory=dict)
    """Image to GiB of its snapshot; others are moto's."""
    private_images: set[str] = field(default_factory=set)
    """Images that their owners, who are others, share with nobody."""
    _sizes: dict[tuple[str, str], SizeFacts] = field(default_factory=dict)

    def check_image(self, call: Call) -> None:
        """Raise AwsError for an image that is not there, or not for this account: InvalidAMIID and
        AuthFailure of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
        """
        self._architecture(call)

    def check(self, call: Call, running: Iterable[tuple[str, str]]) -> None:
        """Raise AwsError for a launch that EC2 would refuse. `running` is the size and market of
        each instance that counts for the quotas of the call's region."""
        asked = call.parameters
        facts = self._facts(call, asked["InstanceType"])
        if self._architecture(call) not in facts.architectures:
            raise self._mismatch(call, facts)
        if self.free_plan and not facts.free:
            raise AwsError("InvalidParameterCombination", NOT_ELIGIBLE)
        self._check_volume(call)
        market = asked.get("InstanceMarketOptions.MarketType", "on-demand")
        self.roles.require(market)
        self._check_quota(call, market, facts.cpus, running)

    def _architecture(self, call: Call) -> str:
        image = call.parameters["ImageId"]
        if image in self.private_images:
            raise AwsError("AuthFailure", f"Not authorized for images: [{image}]", 401)
        question = {"Action": "DescribeImages", "Version": "2016-11-15", "ImageId.1": image}
        found = self.forward(call, question)
        if not found.ok:
            raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
        return get(found.xml(), "imagesSet/item/architecture")

    def _mismatch(self, call: Call, facts: SizeFacts) -> AwsError:
        """The words are those that people quote; AWS documents none."""
        return AwsError(
            "InvalidParameterValue",
            f"The architecture '{','.join(facts.architectures)}' of the specified instance type "
            f"does not match the architecture '{self._architecture(call)}' of the specified AMI. "
            "Specify an instance type and an AMI that have matching architectures, and try again. "
            "You can use 'describe-instance-types' or 'describe-images' to discover the "
            "architecture of the instance type or AMI.",
        )

    def _check_volume(self, call: Call) -> None:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html: not
        smaller than the snapshot."""
        asked = call.parameters
        given = int(asked.get("BlockDeviceMapping.1.Ebs.VolumeSize", MOTO_VOLUME))
        needed = self.image_sizes.get(asked["ImageId"], MOTO_VOLUME)
        if given < needed:
            words = f"Volume of size {given}GB is smaller than snapshot 'snap-0123456789abcdef0'"
            raise AwsError("InvalidBlockDeviceMapping", f"{words}, expect size >= {needed}GB")

    def _check_quota(
        self, call: Call, market: str, cpus: int, running: Iterable[tuple[str, str]]
    ) -> None:
        """MaxCount is "between 1 and the quota", says API_RunInstances: one instance too many, and
        none is launched."""
        size = call.parameters["InstanceType"]
        mine, limit = quota_of(size, market), self.quotas.limit(size, market)
        used = sum(self._facts(call, s).cpus for s, m in running if quota_of(s, m) == mine)
        if used + int(call.parameters["MaxCount"]) * cpus <= limit:
            return
        if market == "spot":
            raise AwsError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise AwsError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit:g} "
            "allows for the instance bucket that the specified instance type belongs to. Please "
            "visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this "
            "limit.",
        )

    def _facts(self, call: Call, size: str) -> SizeFacts:
        known = self._sizes.get((call.region, size))
        if known:
            return known
        question = {"Action": "DescribeInstanceTypes", "Version": "2016-11-15"}
        found = self.forward(call, {**question, "InstanceType.1": size})
        item = found.xml().find(named("instanceTypeSet/item")) if found.ok else None
        if item is None:
            words = f"Your requested instance type ({size}) is not supported in {call.region}"
            raise AwsError("Unsupported", words)
        architectures = item.iterfind(named("processorInfo/supportedArchitectures/item"))
        facts = SizeFacts(
            int(get(item, "vCpuInfo/defaultVCpus")),
            tuple(str(found.text) for found in architectures),
            get(item, "freeTierEligible") == "true",
        )
        self._sizes[call.region, size] = facts
        return facts
