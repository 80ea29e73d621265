"""Which image a size boots."""

from __future__ import annotations

import re
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy_azure.actions import Action
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.driver import AzureDriver
from spotdeploy_azure.network import Body
from spotdeploy_azure.shapes import Named
from spotdeploy_libcloud.cache import Cache

CANONICAL: Final = "Canonical"
"""https://documentation.ubuntu.com/azure/azure-how-to/instances/find-ubuntu-images/"""
UBUNTU_LTS: Final = "ubuntu-lts"
LIFETIME: Final = 86400.0
_RELEASE: Final = re.compile(r"ubuntu-(?P<release>\d\d)_04-lts")
_URN_PARTS: Final = 4


class Images:
    """Finds images, and remembers them on disk for a day."""

    def __init__(
        self, driver: AzureDriver, config: AzureConfig, location: str, cache: Cache
    ) -> None:
        """Calls nothing."""
        self._driver = driver
        self._config = config
        self._location = location
        self._cache = cache

    def reference(self, *, arm64: bool) -> Body:
        """The `imageReference` for an architecture. May call once; may be repeated.

        Raises ConfigError when there is no such image.
        """
        image = self._config.image
        if image == UBUNTU_LTS:
            sku = "server-arm64" if arm64 else "server"
            return _marketplace(CANONICAL, self._latest_offer(), sku, "latest")
        if image.startswith("/"):
            return {"id": image}
        parts = image.split(":")
        if len(parts) != _URN_PARTS or not all(parts):
            raise ConfigError(
                f"provider.azure.image: {image!r} is not an image",
                hint='give "ubuntu-lts", "publisher:offer:sku:version", or an image\'s id',
            )
        return _marketplace(*parts)

    def _latest_offer(self) -> str:
        key = f"{self._config.cloud} {self._config.endpoint} {self._location} {UBUNTU_LTS}"
        kept = self._cache.get(key)
        if kept is None:
            kept = {"offer": self._newest()}
            self._cache.put(key, kept)
        return kept["offer"]

    def _newest(self) -> str:
        """The newest release that is supported for long: https://ubuntu.com/about/release-cycle"""
        at = {"location": self._location, "publisher": CANONICAL}
        offers = self._driver.call(Action.LIST_OFFERS, list[Named], at)
        found = [match for one in offers if (match := _RELEASE.fullmatch(one.name))]
        supported = [match for match in found if int(match["release"]) % 2 == 0]
        if not supported:
            raise ConfigError(
                f"{CANONICAL} offers no Ubuntu LTS image in {self._location}",
                hint="set provider.azure.image",
            )
        return max(supported, key=lambda match: match["release"]).string


def _marketplace(publisher: str, offer: str, sku: str, version: str) -> Body:
    return {"publisher": publisher, "offer": offer, "sku": sku, "version": version}
