"""One region, connected: everything a provider object makes on first use."""

from __future__ import annotations

from functools import cached_property

from spotdeploy.errors import RefusedError
from spotdeploy_aws.api import Api
from spotdeploy_aws.auth import Chain, shared_chain
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.network import Network
from spotdeploy_aws.nodes import Nodes
from spotdeploy_aws.offers import Images, sold
from spotdeploy_aws.prices import Prices, price_list_region
from spotdeploy_aws.quotas import Quotas


class Cloud:
    """EC2 in one region under one config. Each part is made, or asked for, once."""

    def __init__(self, config: AwsConfig, region: str) -> None:
        """Reads and calls nothing."""
        self._config = config
        self.region = region

    @cached_property
    def chain(self) -> Chain:
        """Credentials and endpoints, shared by all regions."""
        return shared_chain(self._config.profile)

    @cached_property
    def api(self) -> Api:
        """AWS's APIs. Raises CredentialsError when there are no credentials."""
        self.chain.keys()
        return Api(self.chain, self.region, self._config.endpoint)

    @cached_property
    def network(self) -> Network:
        """Zones, subnets and security groups."""
        return Network(self.api, self._config)

    @cached_property
    def nodes(self) -> Nodes:
        """The instances."""
        public = self._config.address == "public"
        return Nodes(self.api, self.prices.of, public=public)

    @cached_property
    def images(self) -> Images:
        """The images."""
        return Images(self.api, self._config)

    @cached_property
    def quotas(self) -> Quotas:
        """The quotas of virtual CPUs."""
        return Quotas(self.api, self.images)

    @cached_property
    def sold(self) -> set[tuple[str, str]]:
        """The (zone, size) pairs in which the configured sizes exist at all. One call."""
        return sold(self.api, self._config.sizes)

    @cached_property
    def prices(self) -> Prices:
        """The prices."""
        near = price_list_region(self.region)
        return Prices(self.api, Api(self.chain, near) if near else None, self._config)

    @cached_property
    def identity(self) -> tuple[str, str]:
        """The account's id and the identity's ARN."""
        return self.api.caller()

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
