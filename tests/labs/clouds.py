"""The three clouds, for tests that are the same on each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from spotdeploy.config.load import decode
from spotdeploy.model import Market, Offer
from spotdeploy.provider import ProviderConfig
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.provider import AwsProvider
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.provider import AzureProvider
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.provider import GcpProvider
from tests.labs.aws import AwsMachineLab
from tests.labs.azure import AzureMachineLab
from tests.labs.azure.handlers import DEPLOYMENT, MACHINES
from tests.labs.gcp import GcpMachineLab
from tests.labs.lab import Lab
from tests.labs.machine_lab import MachineLab
from tests.labs.machine_network import MachineNetwork

AnyLab: TypeAlias = Lab[Any, Any, Any]
AnyMachineLab: TypeAlias = MachineLab[Any, Any, Any]
AnyProvider: TypeAlias = AwsProvider | AzureProvider | GcpProvider


PAUSE = 0.1
"""Seconds between two questions of a provider that waits."""


@dataclass(frozen=True)
class Cloud:
    """One of them, and where tests make what there."""

    name: str
    config: type[ProviderConfig]
    provider: Callable[[Any, str], AnyProvider]
    lab: Callable[[Path, MachineNetwork], AnyMachineLab]
    """A lab with machines; its files go to the folder."""
    location: str
    zone: str | None
    size: str
    create: str
    """The call that makes nodes, as the lab's faults name it."""
    listing: str
    """The call that lists them."""
    keys: Mapping[str, Any] = field(default_factory=dict)
    """What `[provider.NAME]` must have for one location and one size."""

    def table(self, lab: AnyLab) -> dict[str, Any]:
        """`[provider.NAME]`."""
        return {**lab.table, **self.keys, "sizes": [self.size]}

    def open(self, lab: AnyLab) -> AnyProvider:
        """The provider that goes to the lab."""
        return self.provider(decode(self.table(lab), self.config, "the lab"), self.location)

    @property
    def offer(self) -> Offer:
        """One kind of node."""
        return Offer(self.name, self.location, self.zone, self.size, Market.SPOT)


AWS = Cloud(
    name="aws",
    config=AwsConfig,
    provider=AwsProvider,
    lab=AwsMachineLab,
    location="us-west-2",
    zone="us-west-2a",
    size="t3.small",
    create="RunInstances",
    listing="DescribeInstances",
    keys={"regions": ["us-west-2"]},
)
GCP = Cloud(
    name="gcp",
    config=GcpConfig,
    provider=GcpProvider,
    lab=GcpMachineLab,
    location="us-central1",
    zone="us-central1-a",
    size="e2-small",
    create="compute.instances.bulkInsert",
    listing="compute.instances.aggregatedList",
)
AZURE = Cloud(
    name="azure",
    config=AzureConfig,
    provider=lambda config, location: AzureProvider(config, location, lambda _: time.sleep(PAUSE)),
    lab=lambda _, machine_network: AzureMachineLab(machine_network),
    location="eastus",
    zone=None,
    size="Standard_D2as_v5",
    create=f"PUT {DEPLOYMENT}",
    listing=f"GET {MACHINES}",
)
CLOUDS: Mapping[str, Cloud] = {cloud.name: cloud for cloud in (AWS, GCP, AZURE)}
