"""One region, connected: everything a provider object makes on first use."""

from __future__ import annotations

from functools import cached_property

from libcloud.compute.base import Node as LibcloudNode

from spotdeploy import labels as names
from spotdeploy.errors import ConfigError, ProviderError, RefusedError
from spotdeploy.model import Batch, Node
from spotdeploy_aws.api import Ec2Driver, StsDriver
from spotdeploy_aws.auth import Chain
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.network import Opening, group_for, places
from spotdeploy_aws.nodes import from_ec2
from spotdeploy_aws.offers import LIFETIME, Images, Prices
from spotdeploy_aws.schemas import Place
from spotdeploy_libcloud.cache import user_cache
from spotdeploy_libcloud.caller import caller_cidr


class Cloud:
    """EC2 in one region under one config. Each part is made, or asked for, once."""

    def __init__(self, config: AwsConfig, region: str) -> None:
        """Reads and calls nothing."""
        self._config = config
        self._region = region
        self._groups: dict[tuple[str, str], str] = {}

    @cached_property
    def chain(self) -> Chain:
        """Credentials and endpoints."""
        return Chain(self._config.profile)

    @cached_property
    def endpoint(self) -> str:
        """The URL of the EC2 API."""
        return self._config.endpoint or self.chain.endpoint("ec2", self._region)

    @cached_property
    def driver(self) -> Ec2Driver:
        """The connection. Raises CredentialsError when there are no credentials."""
        self.chain.keys()
        return Ec2Driver(self._region, self.endpoint, self.chain.keys)

    @cached_property
    def places(self) -> list[Place]:
        """Zones and subnets, first choice first."""
        return places(self.driver, self._config.subnets)

    @cached_property
    def images(self) -> Images:
        """The images."""
        return Images(self.driver, self._config, self.endpoint, user_cache("aws-images", LIFETIME))

    @cached_property
    def prices(self) -> Prices:
        """The prices."""
        return Prices(self.driver)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The account's id and the identity's ARN."""
        self.chain.keys()
        endpoint = self.chain.endpoint("sts", self._region)
        return StsDriver(self._region, endpoint, self.chain.keys).caller()

    def to_node(self, found: LibcloudNode) -> Node:
        """Our node for one of libcloud's."""
        public = self._config.address == "public"
        return from_ec2(found, self._region, self.prices.of, public=public)

    def place(self, zone: str | None) -> Place:
        """The first subnet of a zone. Raises ProviderError when nodes can't be put there."""
        for place in self.places:
            if zone in (None, place.zone):
                return place
        raise ProviderError(f"there is no subnet for nodes in {zone}")

    def group(self, place: Place, batch: Batch) -> str:
        """The id of the security group of a batch's run, made on first use."""
        key = (batch.labels[names.RUN], place.vpc)
        if key not in self._groups:
            sources = batch.allow_from or (self._own_address(),)
            labels = {**self._config.tags, **batch.labels}
            opening = Opening(batch.open_ports, sources)
            self._groups[key] = group_for(self.driver, place.vpc, labels, opening)
        return self._groups[key]

    def forget_groups(self) -> None:
        """Look security groups up again when they are needed next."""
        self._groups.clear()

    def check_account(self) -> None:
        """Raises RefusedError when `account` is set and the credentials are of another one."""
        allowed = self._config.account
        if allowed is None:
            return
        account, arn = self.identity
        if account != allowed:
            raise RefusedError(
                f"the AWS credentials are {arn} of account {account}, "
                f"and provider.aws.account allows only {allowed}",
                hint="choose another profile with AWS_PROFILE or provider.aws.profile",
            )

    def _own_address(self) -> str:
        if self._config.address == "private":
            raise ConfigError(
                'nodes.allow_from is needed when provider.aws.address is "private"',
                hint="give the CIDRs from which you reach the subnets",
            )
        return caller_cidr(self._config.address_service)
