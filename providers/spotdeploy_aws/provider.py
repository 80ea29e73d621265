"""AWS as spotdeploy sees it: one object, one region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

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
from spotdeploy_aws.auth import Chain
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.request import USER_DATA_LIMIT

if TYPE_CHECKING:  # what only a call needs
    from spotdeploy_aws.cloud import Cloud


class AwsProvider(
    BaseProvider[AwsConfig],
    SupportsClaims,
    SupportsConsole,
    SupportsAccount,
    SupportsAllLocations,
    SupportsInterruptionNotice,
    SupportsPeers,
    SupportsPlan,
):
    """EC2 in one region. Every call is signed, typed and paginated; see `api`."""

    name: ClassVar[str] = "aws"
    Config: ClassVar[type[ProviderConfig]] = AwsConfig
    user_data_limit: ClassVar[int] = USER_DATA_LIMIT
    settle_seconds = 120.0
    """EC2 is eventually consistent, for some seconds as a rule and over a minute at times:
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html. An instance whose id
    is known is waited for longer: `nodes.VISIBLE_SECONDS`."""

    @classmethod
    def locations(cls, config: AwsConfig) -> Sequence[str]:
        """The regions of the config, or the one of the environment or profile.

        Raises ConfigError when there is none anywhere.
        """
        return config.regions or (Chain(config.profile).region(),)

    def doctor(self) -> Sequence[Problem]:
        """Identity, account, network, sizes, images, the permissions to launch and to end (dry
        runs), the role for spot, and quotas."""
        from spotdeploy_aws.doctor import examine

        return examine(self._cloud, self.config)

    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        """Who may reach the nodes, tags, the size of the disk, and quotas."""
        from spotdeploy_aws.doctor import objections

        return objections(self._cloud, self.config, pool, batch)

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        """A paginated call each for subnets, sizes, what is sold and each kind of price, however
        many zones and sizes."""
        from spotdeploy_aws.offers import candidates
        from spotdeploy_aws.parallel import together

        cloud = self._cloud
        sizes = self.config.sizes
        asks: list[Callable[[], object]] = [
            lambda: cloud.network.places,
            lambda: cloud.sold,
            lambda: cloud.images.learn(sizes),
        ]
        together(asks)
        zones = [place.zone for place in cloud.network.places]
        architecture_of = cloud.images.architecture
        return candidates(cloud.api, cloud.prices, zones, sizes, cloud.sold, architecture_of, pool)

    def create(self, offer: Offer, batch: Batch) -> Created:
        """One RunInstances for the batch; the run's security group is made before the first."""
        from spotdeploy_aws.create import create_batch

        return create_batch(self._cloud, self.config, offer, batch)

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        """One call for each thousand instances."""
        return self._cloud.nodes.with_labels(labels)

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        """One TerminateInstances for a thousand, more when AWS refuses some: `destroy_nodes`.

        A young one that EC2 does not know may still be running: `nodes` goes on to list it, so
        that it is asked for again. See `Nodes.expect`.
        """
        from spotdeploy_aws.destroy import destroy_nodes

        self._cloud.check_account()
        self._cloud.nodes.expect(nodes)
        ids = [node.id for node in nodes]
        destroy_nodes(self._cloud.api, ids, self._cloud.nodes.ended)

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        """Security groups, volumes, network interfaces and spot requests, by label."""
        from spotdeploy_aws.destroy import leftovers

        return leftovers(self._cloud.api, labels)

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        """Delete these; what something still uses stays for the next try."""
        from spotdeploy_aws.destroy import release

        self._cloud.check_account()
        self._cloud.network.forget_groups()
        release(self._cloud.api, resources)

    def claim(self, labels: Mapping[str, str]) -> Resource:
        """One call where there is no claim, two where there is one."""
        from spotdeploy_aws.claim import claim

        self._cloud.check_account()
        vpc = self._cloud.network.places[0].vpc
        return claim(self._cloud.api, vpc, labels, self.config.tags)

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """Rules of the security group that the batch's instances have."""
        self._cloud.check_account()
        self._cloud.network.admit(batch, addresses)

    def fate(self, node: Node) -> Fate:
        """From the instance's state reason and its spot request. Two calls, at the same time."""
        from spotdeploy_aws.fate import fate

        return fate(self._cloud.api, node)

    def auto_shutdown(self) -> str:
        """The timer in user-data, and EC2's own shutdown behaviour."""
        return "powers itself off when its time to live ends, and EC2 then terminates it"

    def manual_delete_command(self, thing: Node | Resource) -> str:
        """The `aws ec2` command."""
        from spotdeploy_aws.destroy import manual_delete_command

        end = f"terminate-instances --instance-ids {thing.id}"
        what = manual_delete_command(thing) if isinstance(thing, Resource) else end
        return f"aws ec2 {what} {self._where}"

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        """The `aws ec2` command that lists everything with these tags, of whatever kind."""
        filters = " ".join(f"Name=tag:{key},Values={value}" for key, value in labels.items())
        return f"aws ec2 describe-tags --filters {filters} {self._where}"

    def console(self, node: Node) -> str:
        from spotdeploy_aws.fate import console

        return console(self._cloud.api, node.id)

    def account(self) -> str:
        """The account's id, from STS."""
        return self._cloud.identity[0]

    def all_locations(self) -> Sequence[str]:
        """The regions that are enabled for the account, without `closed_regions`. One call."""
        closed = self.config.closed_regions
        regions = self._cloud.api.regions()
        return [one for one in regions if not any(fnmatch(one, pattern) for pattern in closed)]

    def notice_command(self) -> Sequence[str]:
        from spotdeploy_aws.fate import notice_command

        return notice_command()

    def notice(self, output: str) -> Fate | None:
        from spotdeploy_aws.fate import parse_notice

        return parse_notice(output)

    @property
    def _where(self) -> str:
        profile = f" --profile {self.config.profile}" if self.config.profile else ""
        return f"--region {self.location}{profile}"

    @cached_property
    def _cloud(self) -> Cloud:
        from spotdeploy_aws.cloud import Cloud

        return Cloud(self.config, self.location)
