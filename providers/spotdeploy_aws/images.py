"""Which AMI a size boots."""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element

from spotdeploy.errors import ConfigError
from spotdeploy_aws.actions import Action
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.driver import PAGE, Ec2Driver
from spotdeploy_aws.launch import Image
from spotdeploy_aws.query import Parameters, filters, items, text
from spotdeploy_libcloud.cache import Cache

CANONICAL: Final = "099720109477"
"""https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/"""
UBUNTU_LTS: Final = "ubuntu-lts"
UBUNTU_NAMES: Final = "ubuntu/images/hvm-ssd*/ubuntu-*-??.04-*-server-*"
LIFETIME: Final = 86400.0
_RELEASE: Final = re.compile(r"/ubuntu-[a-z]+-(?P<year>\d\d)\.04-")


class Images:
    """Finds images, and remembers them on disk for a day."""

    def __init__(self, driver: Ec2Driver, config: AwsConfig, endpoint: str, cache: Cache) -> None:
        """Calls nothing. `endpoint` keeps the memories of different clouds apart."""
        self._driver = driver
        self._config = config
        self._cache = cache
        self._about = f"{endpoint} {driver.region_name} {config.image} {config.image_owner}"

    def for_size(self, size: str) -> Image:
        """The image for a size's architecture. May call twice; may be repeated.

        Raises ConfigError when there is no such size or no such image.
        """
        kept = self._cache.get(self._key(size))
        if kept is not None:
            return Image(**kept)
        image = self._choose(self._architecture(size))
        self._cache.put(self._key(size), {"id": image.id, "root_device": image.root_device})
        return image

    def forget(self, size: str) -> None:
        """Drop what is remembered for a size: the image is no longer there."""
        self._cache.forget(self._key(size))

    def _key(self, size: str) -> str:
        return f"{self._about} {size}"

    def _architecture(self, size: str) -> str:
        parameters: Parameters = {"Filter": filters({"instance-type": [size]})}
        found = self._driver.pages(Action.DESCRIBE_INSTANCE_TYPES, "instanceTypeSet", parameters)
        if not found:
            raise ConfigError(
                f"EC2 has no instance type {size!r} in {self._driver.region_name}",
                hint="check provider.aws.sizes",
            )
        known = {
            (item.text or "").strip()
            for item in items(found[0], "processorInfo/supportedArchitectures")
        }
        return "arm64" if "arm64" in known else "x86_64"

    def _choose(self, architecture: str) -> Image:
        candidates = [
            item
            for item in self._driver.pages(
                Action.DESCRIBE_IMAGES, "imagesSet", self._question(architecture)
            )
            if text(item, "rootDeviceType") == "ebs" and self._rank(item) is not None
        ]
        if not candidates:
            raise ConfigError(
                f"no {architecture} image {self._config.image!r} of owner {self._owner} "
                f"in {self._driver.region_name}",
                hint="check provider.aws.image and provider.aws.image_owner",
            )
        best = max(candidates, key=lambda item: self._rank(item) or ("", ""))
        return Image(text(best, "imageId"), text(best, "rootDeviceName"))

    @property
    def _owner(self) -> str:
        return CANONICAL if self._config.image == UBUNTU_LTS else self._config.image_owner

    def _question(self, architecture: str) -> Parameters:
        wanted = {"architecture": [architecture], "state": ["available"]}
        if self._config.image.startswith("ami-"):
            return {"Filter": filters({**wanted, "image-id": [self._config.image]})}
        ubuntu = self._config.image == UBUNTU_LTS
        name = UBUNTU_NAMES if ubuntu else self._config.image
        return {
            "Owner": [self._owner],
            "Filter": filters({**wanted, "name": [name]}),
            "MaxResults": PAGE,
        }

    def _rank(self, item: Element) -> tuple[str, str] | None:
        """What to order images by; None for one that will not do. An Ubuntu release is supported
        for long when its year is even: https://ubuntu.com/about/release-cycle"""
        created = text(item, "creationDate")
        if self._config.image != UBUNTU_LTS:
            return "", created
        release = _RELEASE.search(text(item, "name"))
        if release is None or int(release["year"]) % 2:
            return None
        return release["year"], created
