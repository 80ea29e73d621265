"""One location, connected: everything a provider object makes on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from spotdeploy_azure.api import AzureDriver, environment_of
from spotdeploy_azure.auth import Chain
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.nodes import Nodes
from spotdeploy_azure.offers import MACHINES, Images, Prices, Size, skus, sold
from spotdeploy_libcloud.network import OwnAddress


class Cloud:
    """Azure in one location under one config. Each part is made, or asked for, once."""

    def __init__(self, config: AzureConfig, location: str, pause: Callable[[float], None]) -> None:
        """Reads and calls nothing. `pause` waits for seconds."""
        self._config = config
        self.location = location
        self.pause = pause
        self.deletions: dict[str, str] = {}
        """Names of groups, in lower case, to where Azure says how far their deletion is."""
        self.size_names: list[str] = []
        """Of all sizes here, once they were asked for."""

    @cached_property
    def chain(self) -> Chain:
        """Whose credentials are used, and the subscription."""
        return Chain(self._config, environment_of(self._config)["activeDirectoryEndpointUrl"])

    @cached_property
    def driver(self) -> AzureDriver:
        """The connection. Raises CredentialsError when there are no credentials."""
        return AzureDriver(self._config, self.chain)

    @cached_property
    def sizes(self) -> dict[str, Size]:
        """Those of the configured sizes that are sold here. One paginated call."""
        found = skus(self.driver, self.location)
        self.size_names = [sku.name for sku in found if sku.resource_type == MACHINES]
        return sold(found, self._config.sizes)

    @cached_property
    def images(self) -> Images:
        """The images."""
        return Images(self.driver, self._config, self.location)

    @cached_property
    def prices(self) -> Prices:
        """The prices."""
        return Prices(self._config.price_service, self.location)

    @cached_property
    def own_address(self) -> OwnAddress:
        """Who may reach the nodes when a batch does not say."""
        return OwnAddress("azure", self._config.address, self._config.address_service)

    @cached_property
    def nodes(self) -> Nodes:
        """Resource groups and the virtual machines in them."""
        return Nodes(self.driver, self._config, self.location, self.prices.of)
