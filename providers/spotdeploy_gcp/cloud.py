"""One region, connected: everything a provider object makes on first use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy_gcp import billing
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.api import GceDriver, quota_header
from spotdeploy_gcp.auth import Chain
from spotdeploy_gcp.billing import PriceList
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.network import Firewall
from spotdeploy_gcp.nodes import Nodes
from spotdeploy_gcp.offers import Images, Prices, Sizes
from spotdeploy_gcp.schemas import Project, Region, last
from spotdeploy_libcloud.cache import user_cache
from spotdeploy_libcloud.gathering import Gathering

_GATHERINGS: Final[dict[tuple[str | None, ...], Gathering]] = {}
"""By endpoint and credentials: the core makes one object for each region."""
_STANDARD: Final = re.compile(r".+-[a-z]")
"""The name of a zone that is no AI zone."""


class Cloud:
    """Compute Engine in one region under one config. Each part is made, or asked for, once."""

    def __init__(self, config: GcpConfig, region: str) -> None:
        """Reads and calls nothing."""
        self._config = config
        self.region = region

    @cached_property
    def chain(self) -> Chain:
        """Credentials and project."""
        config = self._config
        return Chain(config.credentials, config.project, config.impersonate)

    @cached_property
    def driver(self) -> GceDriver:
        """The connection. Raises CredentialsError when there are no credentials."""
        chain = self.chain
        return GceDriver(
            chain.project(),
            self._config.api,
            chain.token,
            chain.quota_project,
            self._gathering,
        )

    @property
    def _gathering(self) -> Gathering:
        """That of all regions under the same credentials."""
        config = self._config
        who = (config.api, config.credentials, config.impersonate, config.project)
        return _GATHERINGS.setdefault(who, Gathering())

    @cached_property
    def project(self) -> Project:
        """The project as the API gives it."""
        return self.driver.call(Action.GET_PROJECT, Project)

    @cached_property
    def about(self) -> Region:
        """The region as the API gives it."""
        return self.driver.call(Action.GET_REGION, Region, {"region": self.region})

    @property
    def all_zones(self) -> list[str]:
        """Every zone of the region."""
        return sorted(last(url) for url in self.about.zones)

    @cached_property
    def zones(self) -> list[str]:
        """The zones nodes can be put in, first choice first. AI zones are far from the others, for
        accelerators, and used only when they are named:
        https://cloud.google.com/compute/docs/regions-zones/ai-zones

        Raises ConfigError when there are none.
        """
        available = self.all_zones
        chosen = [zone for zone in self._config.zones if zone in available]
        if self._config.zones and not chosen:
            raise ConfigError(
                f"none of provider.gcp.zones is in {self.region}",
                hint=f"its zones are {', '.join(available)}",
            )
        return chosen or [zone for zone in available if _STANDARD.fullmatch(zone)]

    @cached_property
    def sizes(self) -> Sizes:
        """The machine types."""
        return Sizes(self.driver, self.region, self._config.sizes)

    @cached_property
    def firewall(self) -> Firewall:
        """What reaches the nodes."""
        return Firewall(self.driver, self._config, self.region)

    @cached_property
    def nodes(self) -> Nodes:
        """The instances."""
        public = self._config.address == "public"
        return Nodes(self.driver, self.region, self.prices.of, public=public)

    @cached_property
    def images(self) -> Images:
        """The images."""
        return Images(self.driver, self._config)

    @cached_property
    def prices(self) -> Prices:
        """The prices, as far as machine types were asked for."""
        return Prices(self.region, self.sizes.known, self._price_list)

    @property
    def _price_list(self) -> PriceList | None:
        config = self._config
        service = config.prices
        if service is None:
            return None
        chain = Chain(config.credentials, config.project, config.impersonate, billing.SCOPES)

        def headers() -> Mapping[str, str]:
            token = {"Authorization": f"Bearer {chain.token()}"}
            return {**token, **quota_header(chain.quota_project())}

        return PriceList(service, headers, user_cache("gcp-prices", billing.HOUR))

    def regions(self) -> list[str]:
        """The names of the project's regions."""
        return [region.name for region in self.driver.pages(Action.LIST_REGIONS, Region, {})]
