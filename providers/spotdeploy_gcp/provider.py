"""GCP as spotdeploy sees it: one object, one region of one project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch, Created, Fate, Node, Offer, Pool, Problem, Resource
from spotdeploy.provider import (
    BaseProvider,
    ProviderConfig,
    SupportsAccount,
    SupportsAllLocations,
    SupportsClaims,
    SupportsConsole,
    SupportsInterruptionNotice,
    SupportsPeers,
    SupportsPlan,
)
from spotdeploy_gcp.auth import require_extra
from spotdeploy_gcp.config import GcpConfig, network_path, project_of
from spotdeploy_gcp.request import USER_DATA_LIMIT

if TYPE_CHECKING:  # these load libcloud, which takes a third of a second
    from spotdeploy_gcp.cloud import Cloud

REGION: Final = "us-central1"


class GcpProvider(
    BaseProvider[GcpConfig],
    SupportsConsole,
    SupportsAccount,
    SupportsClaims,
    SupportsAllLocations,
    SupportsInterruptionNotice,
    SupportsPeers,
    SupportsPlan,
):
    """Compute Engine in one region. Every call is typed, paginated and awaited; see `api`."""

    name: ClassVar[str] = "gcp"
    Config: ClassVar[type[ProviderConfig]] = GcpConfig
    user_data_limit: ClassVar[int] = USER_DATA_LIMIT
    settle_seconds = 10.0
    """A create call ends after its operation, so its nodes are there; Google promises nothing about
    how soon the listing over all zones shows them."""

    @classmethod
    def locations(cls, config: GcpConfig) -> Sequence[str]:
        """The regions of the config, or the one of the environment, or us-central1.

        Raises ConfigError when the extra is not installed.
        """
        require_extra()
        return config.regions or (os.environ.get("CLOUDSDK_COMPUTE_REGION") or REGION,)

    def doctor(self) -> Sequence[Problem]:
        """Credentials, project, region, network, sizes and images."""
        from spotdeploy_gcp.doctor import examine

        return examine(self._cloud, self.config, self.locations(self.config))

    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        """Who may reach the nodes, labels, the size of the disk, and quotas. A call for each
        architecture, and one for the deployment's own nodes when a quota is short."""
        from spotdeploy_gcp.doctor import objections

        return objections(self._cloud, self.config, self.locations(self.config), pool, batch)

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        """Two calls, however many zones and sizes, and once an hour Google's price list."""
        from spotdeploy_gcp.offers import candidates

        cloud = self._cloud
        cloud.prices.load()
        return candidates(
            self.location,
            cloud.prices,
            cloud.zones,
            cloud.sizes.machine_types,
            self.config.sizes,
            pool,
        )

    def create(self, offer: Offer, batch: Batch) -> Created:
        """One bulk insert for the batch; the run's firewall rules are made before the first."""
        from spotdeploy_gcp.create import create_batch

        return create_batch(self._cloud, self.config, offer, batch)

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        """One call for each 500 instances."""
        return self._cloud.nodes.with_labels(labels)

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        """One request for a thousand; see `destroy.destroy_nodes` for what Google refuses."""
        from spotdeploy_gcp.destroy import destroy_nodes

        destroy_nodes(self._cloud.driver, [node.id for node in nodes])

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Disks by label, and firewall rules by their descriptions."""
        from spotdeploy_gcp.destroy import leftovers

        cloud = self._cloud
        return leftovers(cloud.driver, cloud.firewall, self.location, labels)

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        """Delete these; what something still uses stays for the next try."""
        from spotdeploy_gcp.destroy import release

        self._cloud.firewall.forget()
        release(self._cloud.driver, resources)

    def claim(self, labels: Mapping[str, str]) -> Resource:
        """A firewall rule that is never in force."""
        from spotdeploy_gcp.claims import claim

        return claim(self._cloud.firewall, self.location, labels)

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """Firewall rules of their own. Blocks until they are in force."""
        self._cloud.firewall.admit(batch, addresses)

    def fate(self, node: Node) -> Fate:
        """From the instance's state and the operations on it. Two calls."""
        from spotdeploy_gcp.fate import fate

        return fate(self._cloud, node)

    def auto_shutdown(self) -> str:
        """Google's own limit, and the timer in user-data."""
        return "Google deletes it when its time to live ends (maxRunDuration)"

    def manual_delete_command(self, thing: Node | Resource) -> str:
        """The `gcloud compute` command."""
        from spotdeploy_gcp.destroy import manual_delete_command

        try:
            return manual_delete_command(thing, self._cloud.chain.known_project)
        except ProviderError:
            return super().manual_delete_command(thing)

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        """Three `gcloud compute` commands."""
        from spotdeploy_gcp.destroy import manual_list_command

        project = self._cloud.chain.known_project
        of_network = project_of(network_path(self.config.network, project))
        return manual_list_command(labels, project, of_network)

    def console(self, node: Node) -> str:
        from spotdeploy_gcp.fate import console

        return console(self._cloud.driver, node.id)

    def account(self) -> str:
        """The project's id."""
        return self._cloud.chain.project()

    def all_locations(self) -> Sequence[str]:
        """The regions of the project. One call."""
        return self._cloud.regions()

    def notice_command(self) -> Sequence[str]:
        from spotdeploy_gcp.fate import notice_command

        return notice_command()

    def notice(self, output: str) -> Fate | None:
        from spotdeploy_gcp.fate import parse_notice

        return parse_notice(output)

    @cached_property
    def _cloud(self) -> Cloud:
        from spotdeploy_gcp.cloud import Cloud

        return Cloud(self.config, self.location)
