"""Azure as spotdeploy sees it: one object, one location of one subscription."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import Batch, Created, Fate, Node, Offer, Pool, Problem, Resource
from spotdeploy.provider import (
    BaseProvider,
    ProviderConfig,
    SupportsAccount,
    SupportsAllLocations,
    SupportsConsole,
    SupportsInterruptionNotice,
    SupportsPeers,
    SupportsPlan,
)
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.request import USER_DATA_LIMIT

if TYPE_CHECKING:  # these load libcloud, which takes a third of a second
    from spotdeploy_azure.cloud import Cloud

LOCATION: Final = "eastus"


class AzureProvider(
    BaseProvider[AzureConfig],
    SupportsConsole,
    SupportsAccount,
    SupportsAllLocations,
    SupportsInterruptionNotice,
    SupportsPeers,
    SupportsPlan,
):
    """Virtual machines in one location. Every call is typed and paginated; see `api`."""

    name: ClassVar[str] = "azure"
    Config: ClassVar[type[ProviderConfig]] = AzureConfig
    user_data_limit: ClassVar[int] = USER_DATA_LIMIT
    settle_seconds = 30.0
    """The Resource Manager answers listings from copies that lag for some seconds; machines of a
    deployment come one after the other."""

    @classmethod
    def locations(cls, config: AzureConfig) -> Sequence[str]:
        """The locations of the config, or the one of the environment, or eastus."""
        return config.locations or (os.environ.get("AZURE_LOCATION") or LOCATION,)

    def __init__(
        self,
        config: AzureConfig,
        location: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep what is given. `pause` waits for seconds."""
        super().__init__(config.at(location), location)
        self._pause = pause

    def doctor(self) -> Sequence[Problem]:
        """Credentials, subscription, registrations, permissions, sizes and images."""
        from spotdeploy_azure.doctor import examine

        return examine(self._cloud, self.config)

    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        """Who may reach the nodes, tags, and quotas. One call, and a listing of the deployment's
        own nodes when a quota is short."""
        from spotdeploy_azure.doctor import objections

        return objections(self._cloud, self.config, self.locations(self.config), pool, batch)

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        """One call for the sizes; one more for prices when the config names a service."""
        from spotdeploy_azure.offers import candidates

        cloud = self._cloud
        return candidates(self.location, cloud.prices, cloud.sizes, self.config, pool)

    def create(self, offer: Offer, batch: Batch) -> Created:
        """One deployment for the batch, in the run's resource group, which is made before. Blocks
        until Azure has found a place for each machine or refused it: half a minute as a rule."""
        from spotdeploy_azure.create import create_batch

        return create_batch(self._cloud, self.config, offer, batch)

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        """Five calls for a run, however many nodes; one when there is nothing."""
        return self._cloud.nodes.with_labels(labels)

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        """Two calls for a whole group, one more for each node that leaves others behind."""
        from spotdeploy_azure.destroy import destroy_nodes

        destroy_nodes(self._cloud, [node.id for node in nodes])

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Resource groups by label, with all that is in them."""
        from spotdeploy_azure.destroy import leftovers

        return leftovers(self._cloud, labels)

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        """Delete these; a group with a living machine stays for the next try."""
        from spotdeploy_azure.destroy import release

        release(self._cloud, resources)

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """Rules of the security group that the batch's machines have. Two calls, and one each two
        seconds until they are in force."""
        from spotdeploy_azure.peers import admit

        admit(self._cloud, batch, addresses)

    def fate(self, node: Node) -> Fate:
        """From the machine's instance view and the activity log. Three calls at most."""
        from spotdeploy_azure.fate import fate

        return fate(self._cloud, node)

    def auto_shutdown(self) -> str:
        """A machine that powers itself off is billed in full; one that Azure deallocates is not,
        but its disk and address are."""
        if self.config.auto_shutdown:
            return "Azure deallocates it when under 24h of life end; disk and address stay billed"
        return "powers itself off when its time to live ends, but Azure bills it until destroyed"

    def manual_delete_command(self, thing: Node | Resource) -> str:
        """The `az` command, which names the subscription."""
        from spotdeploy_azure.destroy import manual_delete_command

        return f"az {manual_delete_command(thing)}{self._flag}"

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        """The `az` command that lists the resource groups, which hold all else. It takes one
        label: the first."""
        key, value = next(iter(labels.items()))
        return f"az group list --tag {key}={value}{self._flag}"

    def console(self, node: Node) -> str:
        from spotdeploy_azure.fate import console

        return console(self._cloud.driver, node.id)

    def account(self) -> str:
        """The subscription's id."""
        return self._cloud.chain.subscription

    def all_locations(self) -> Sequence[str]:
        """Where the subscription has resource groups of ours. One call."""
        return self._cloud.nodes.all_locations()

    def notice_command(self) -> Sequence[str]:
        from spotdeploy_azure.fate import notice_command

        return notice_command()

    def notice(self, output: str) -> Fate | None:
        from spotdeploy_azure.fate import parse_notice

        return parse_notice(output)

    @property
    def _flag(self) -> str:
        try:
            return f" --subscription {self._cloud.chain.subscription}"
        except ConfigError:
            return ""

    @cached_property
    def _cloud(self) -> Cloud:
        from spotdeploy_azure.cloud import Cloud

        return Cloud(self.config, self.location, self._pause)
