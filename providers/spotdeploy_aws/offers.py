"""What an instance can be had as: zones, sizes and markets, and images."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import Offer, Pool
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import PAGE, Api
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.prices import Prices
from spotdeploy_aws.schemas import Image, Parameters, Record, filters, text

CANONICAL: Final = {"us-gov-": "513442679011", "cn-": "837727238323", "": "099720109477"}
"""Beginning of a region's name to Canonical's account there, which differs by partition:
https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/"""
UBUNTU_LTS: Final = "ubuntu-lts"
UBUNTU_NAMES: Final = "ubuntu/images/hvm-ssd*/ubuntu-*-??.04-*-server-*"
STANDARD: Final = frozenset("acdhimrtz")
APART: Final = frozenset({"dl", "hpc", "inf", "mac", "trn"})
_LETTERS: Final = re.compile("[a-z]+")
_RELEASE: Final = re.compile(r"/ubuntu-[a-z]+-(?P<year>\d\d)\.04-")


def sold(api: Api, sizes: Sequence[str]) -> set[tuple[str, str]]:
    """The (zone, size) pairs in which these sizes exist at all. One paginated call."""
    parameters: Parameters = {
        "LocationType": "availability-zone",
        "Filters": filters({"instance-type": sizes}),
        "MaxResults": PAGE,
    }
    found = api.pages(Action.DESCRIBE_INSTANCE_TYPE_OFFERINGS, parameters)
    return {(text(item, "Location"), text(item, "InstanceType")) for item in found}


def candidates(
    api: Api,
    prices: Prices,
    zones: Iterable[str],
    sizes: Sequence[str],
    exist: Collection[tuple[str, str]],
    architecture_of: Callable[[str], str],
    pool: Pool,
) -> list[Offer]:
    """Market by market, size by size in the order given, the cheapest zone first. `exist` has the
    (zone, size) pairs that are sold at all."""
    if exist:
        prices.refresh(sorted({size for _, size in exist}), pool.policy.markets)
    zones = list(dict.fromkeys(zones))
    return [
        offer
        for market in pool.policy.markets
        for size in sizes
        for offer in sorted(
            (
                Offer(
                    provider="aws",
                    location=api.region,
                    zone=zone,
                    size=size,
                    market=market,
                    usd_per_hour=prices.of(market, zone, size),
                    family=family(size),
                    architecture=architecture_of(size),
                )
                for zone in zones
                if (zone, size) in exist
            ),
            key=_price_first,
        )
    ]


def family(size: str) -> str:
    """Which sizes one quota of virtual CPUs counts together: "standard", "g" and so on.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html: A, C, D, H, I, M,
    R, T and Z share one, each other kind has its own, VT is with G.
    """
    letters = _LETTERS.match(size)
    kind = letters[0] if letters else size
    if kind in {"g", "gr", "vt"}:
        return "g"
    return "standard" if kind[:1] in STANDARD and kind not in APART else kind


def _price_first(offer: Offer) -> float:
    return float("inf") if offer.usd_per_hour is None else offer.usd_per_hour


class Images:
    """Finds images, and what the sizes are that they are for. Once a run: "the newest" is another
    one tomorrow, and in another account."""

    def __init__(self, api: Api, config: AwsConfig) -> None:
        """Calls nothing."""
        self._api = api
        self._config = config
        self._sizes: dict[str, Record] = {}
        self._chosen: dict[str, Image] = {}

    def for_size(self, size: str) -> Image:
        """The image for a size's architecture. Calls once for each architecture, and for the sizes
        as `architecture` does.

        Raises ConfigError when there is no such size or no such image.
        """
        architecture = self.architecture(size)
        if not architecture:
            raise ConfigError(
                f"EC2 has no instance type {size!r} in {self._api.region}",
                hint="check provider.aws.sizes",
            )
        if architecture not in self._chosen:
            self._chosen[architecture] = self._choose(architecture)
        return self._chosen[architecture]

    def architecture(self, size: str) -> str:
        """The processor's, as images have it; "" when there is no such size here. One call for all
        sizes of the config."""
        known = self._size(size)
        if not known:
            return ""
        return "arm64" if "arm64" in known["ProcessorInfo"]["SupportedArchitectures"] else "x86_64"

    def vcpus(self, size: str) -> int:
        """How many virtual CPUs it has; 0 when there is no such size."""
        known = self._size(size)
        return int(known["VCpuInfo"]["DefaultVCpus"]) if known else 0

    def forget(self) -> None:
        """Look images up again when they are needed next: one is no longer there."""
        self._chosen.clear()

    def learn(self, sizes: Iterable[str]) -> None:
        """Look up those of these sizes that are not known yet, and those of the config: one call.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceTypeInfo.html
        """
        if not (new := set(sizes) - self._sizes.keys()):
            return
        asked = sorted(new | set(self._config.sizes))
        parameters: Parameters = {"Filters": filters({"instance-type": asked})}
        found = self._api.pages(Action.DESCRIBE_INSTANCE_TYPES, parameters)
        known = {one["InstanceType"]: one for one in found}
        self._sizes |= {size: known.get(size, {}) for size in asked}

    def _size(self, size: str) -> Record:
        """Empty when there is no such size."""
        self.learn([size])
        return self._sizes[size]

    def _choose(self, architecture: str) -> Image:
        candidates = [
            item
            for item in self._api.pages(Action.DESCRIBE_IMAGES, self._question(architecture))
            if text(item, "RootDeviceType") == "ebs" and self._rank(item) is not None
        ]
        if not candidates:
            raise ConfigError(
                f"no {architecture} image {self._config.image!r} of owner {self._owner} "
                f"in {self._api.region}",
                hint="check provider.aws.image and provider.aws.image_owner",
            )
        best = max(candidates, key=lambda item: self._rank(item) or ("", ""))
        root = text(best, "RootDeviceName")
        sizes = {
            text(device, "DeviceName"): text(device, "Ebs.VolumeSize")
            for device in best.get("BlockDeviceMappings", ())
        }
        return Image(best["ImageId"], root, int(sizes.get(root) or 0))

    @property
    def _owner(self) -> str:
        if self._config.image != UBUNTU_LTS:
            return self._config.image_owner
        region = self._api.region
        return next(owner for start, owner in CANONICAL.items() if region.startswith(start))

    def _question(self, architecture: str) -> Parameters:
        criteria = {"architecture": [architecture], "state": ["available"]}
        if self._config.image.startswith("ami-"):
            return {"Filters": filters({**criteria, "image-id": [self._config.image]})}
        ubuntu = self._config.image == UBUNTU_LTS
        name = UBUNTU_NAMES if ubuntu else self._config.image
        return {
            "Owners": [self._owner],
            "Filters": filters({**criteria, "name": [name]}),
            "MaxResults": PAGE,
        }

    def _rank(self, item: Record) -> tuple[str, str] | None:
        """What to order images by; None for one that will not do. An Ubuntu release is supported
        for long when its year is even: https://ubuntu.com/about/release-cycle"""
        created = text(item, "CreationDate")
        if self._config.image != UBUNTU_LTS:
            return "", created
        release = _RELEASE.search(text(item, "Name"))
        if release is None or int(release["year"]) % 2:
            return None
        return release["year"], created
