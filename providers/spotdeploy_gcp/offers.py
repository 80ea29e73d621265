"""What an instance can be had as: zones, sizes, markets and their prices, and images."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Final

from spotdeploy.errors import ConfigError, ProviderError
from spotdeploy.model import Market, Offer, Pool
from spotdeploy.refusals import none_if_missing
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver
from spotdeploy_gcp.billing import PriceList, rate_key
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.errors import MISSING, family
from spotdeploy_gcp.schemas import Image, MachineType, last

SHARED_CPUS: Final = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
"""How much of a CPU is billed: https://cloud.google.com/compute/docs/general-purpose-machines"""
Z3_SSDS: Final = 6
"""Local disks of 3,000 GiB with which a Z3 instance still migrates."""
_NEVER_MIGRATES: Final = re.compile(r"(ct\d|tpu|h4d-)")
UBUNTU_PROJECT: Final = "ubuntu-os-cloud"
"""https://documentation.ubuntu.com/gcp/google-how-to/gce/find-ubuntu-images/"""
UBUNTU_LTS: Final = "ubuntu-lts"
UBUNTU_FAMILIES: Final = "ubuntu-[0-9]+-lts(-amd64|-arm64)?"
FAMILY: Final = "family/"
_RELEASE: Final = re.compile(r"ubuntu-(?P<release>\d\d04)-lts(-amd64|-arm64)?")


def candidates(
    region: str,
    prices: Prices,
    zones: Sequence[str],
    sold: Collection[tuple[str, str]],
    sizes: Sequence[str],
    pool: Pool,
) -> list[Offer]:
    """Market by market, size by size, zone by zone, each in the order given. `sold` has the
    (zone, size) pairs that exist at all."""
    return [
        Offer("gcp", region, zone, size, market, prices.of(market, zone, size), family(size))
        for market in pool.policy.markets
        for size in sizes
        for zone in zones
        if (zone, size) in sold
    ]


def migrates(kind: MachineType) -> bool:
    """Whether instances of a machine type can move to another host while they run. Those that can
    must be let (E2), and the others must not.
    https://docs.cloud.google.com/compute/docs/instances/setting-vm-host-options#limitations"""
    ssds = kind.bundled_local_ssds
    large = kind.name.startswith("z3-") and ssds is not None and ssds.partition_count > Z3_SSDS
    cannot = kind.accelerators or _NEVER_MIGRATES.match(kind.name) or kind.name.endswith("-metal")
    return not (cannot or large)


class Sizes:
    """The configured machine types of one region. Asked for once."""

    def __init__(self, driver: GceDriver, region: str, sizes: Sequence[str]) -> None:
        """Calls nothing."""
        self._driver = driver
        self._region = region
        self._sizes = sizes

    @cached_property
    def machine_types(self) -> dict[tuple[str, str], MachineType]:
        """By zone and size. One paginated call."""
        query = {"filter": " OR ".join(f'(name = "{size}")' for size in self._sizes)}
        found = self._driver.zonal(
            Action.LIST_MACHINE_TYPES, "machineTypes", MachineType, query, self._region
        )
        return {
            (last(one.zone), one.name): one
            for one in found
            if not (one.deprecated and one.deprecated.state in ("OBSOLETE", "DELETED"))
        }

    def like(self, size: str) -> set[str]:
        """The names of those here that begin or end as this one, which is not sold. One paginated
        call."""
        family, _, rest = size.partition("-")
        filters = {"filter": f'name eq "({family}-.*|.*-{rest})"'}  # one regular expression
        found = self._driver.zonal(
            Action.LIST_MACHINE_TYPES, "machineTypes", MachineType, filters, self._region
        )
        return {one.name for one in found}

    def of(self, size: str) -> MachineType:
        """The machine type of a size. Raises ConfigError for one that is not sold here."""
        for (_, name), kind in self.machine_types.items():
            if name == size:
                return kind
        raise ConfigError(
            f"there is no machine type {size!r} in {self._region}", hint="check provider.gcp.sizes"
        )

    def architecture(self, size: str) -> str:
        """See `MachineType.processor`. Raises ConfigError for a size that is not sold here."""
        return self.of(size).processor

    def known(self, size: str) -> MachineType | None:
        """The machine type of a size, as far as it was asked for. Calls nothing."""
        if "machine_types" not in self.__dict__:
            return None
        return next((one for (_, name), one in self.machine_types.items() if name == size), None)


class Prices:
    """The prices of one region."""

    def __init__(
        self,
        region: str,
        kind: Callable[[str], MachineType | None],
        price_list: PriceList | None = None,
    ) -> None:
        """`kind` gives the machine type of a size, as far as it is known; without a `price_list`
        no price is known."""
        self._region = region
        self._kind = kind
        self._list = price_list
        self._rates: Mapping[str, str] = {}
        self.trouble: ProviderError | None = None
        """Why Google's price list is not to be had."""

    def load(self) -> None:
        """Ask for Google's price list, where there is one and it was not asked yet. Whoever may not
        have it goes without."""
        if self._list is None or self._rates or self.trouble:
            return
        try:
            self._rates = self._list.rates()
        except ProviderError as error:
            self.trouble = error

    def of(self, market: Market, zone: str | None, size: str | None) -> float | None:
        """USD per hour for one node, or None when unknown. Calls nothing.

        What is paid besides CPUs and memory, such as accelerators, makes a price unknown.
        """
        kind = self._kind(size) if size else None
        if kind is None or zone is None or kind.accelerators or kind.bundled_local_ssds:
            return None
        if "-custom-" in kind.name or kind.name.endswith("-metal"):
            return None
        cpus = SHARED_CPUS.get(kind.name, None if kind.is_shared_cpu else float(kind.guest_cpus))
        series = kind.name.partition("-")[0]
        cpu, ram = self._rate(market, series, "cpu"), self._rate(market, series, "ram")
        if cpus is None or cpu is None or ram is None:
            return None
        return round(cpus * cpu + kind.memory_mb / 1024 * ram, 6)

    def _rate(self, market: Market, series: str, part: str) -> float | None:
        """USD per hour for one CPU or GiB, or None when the list does not say."""
        known = self._rates.get(rate_key(self._region, market, series, part))
        return float(known) if known else None


class Images:
    """Finds images, once for each architecture: which image a name or a family stands for may be
    another one in the next run."""

    def __init__(self, driver: GceDriver, config: GcpConfig) -> None:
        """Calls nothing."""
        self._driver = driver
        self._config = config
        ubuntu = config.image == UBUNTU_LTS
        self._project = UBUNTU_PROJECT if ubuntu else config.image_project or driver.project
        self._known: dict[str, Image] = {}

    def for_architecture(self, architecture: str) -> Image:
        """The image for an architecture. May call once; may be repeated.

        Raises ConfigError when there is no such image.
        """
        if architecture not in self._known:
            self._known[architecture] = self._choose(architecture)
        return self._known[architecture]

    def forget(self, architecture: str) -> None:
        """Look again: the image is no longer there."""
        self._known.pop(architecture, None)

    def _choose(self, architecture: str) -> Image:
        usable = [
            image
            for image in self._found()
            if image.architecture == architecture
            and image.status == "READY"
            and not (image.deprecated and image.deprecated.state)
            and self._rank(image) is not None
        ]
        if not usable:
            raise ConfigError(
                f"no {architecture} image {self._config.image!r} in project {self._project}",
                hint="check provider.gcp.image and provider.gcp.image_project",
            )
        return max(usable, key=lambda image: self._rank(image) or ("", ""))

    def _found(self) -> list[Image]:
        image_name = self._config.image
        if image_name == UBUNTU_LTS:
            return self._list(f'family eq "{UBUNTU_FAMILIES}"')
        if image_name.startswith(FAMILY):
            return self._list(f'family = "{image_name.removeprefix(FAMILY)}"')
        call, at = self._driver.call, {"project": self._project, "image": image_name}
        found = none_if_missing(lambda: call(Action.GET_IMAGE, Image, at), MISSING)
        return [found] if found else []

    def _list(self, filter_: str) -> list[Image]:
        query, at = {"filter": filter_}, {"project": self._project}
        return self._driver.pages(Action.LIST_IMAGES, Image, query, at)

    def _rank(self, image: Image) -> tuple[str, str] | None:
        """What to order images by; None for one that will not do. An Ubuntu release is supported
        for long when its year is even: https://ubuntu.com/about/release-cycle"""
        if self._config.image != UBUNTU_LTS:
            return "", image.creation_timestamp
        release = _RELEASE.fullmatch(image.family)
        if release is None or int(release["release"][:2]) % 2:
            return None
        return release["release"], image.creation_timestamp
