"""`[provider.azure]`: which subscription, where, and what kind of machines."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec

from spotdeploy.config.secret import Secret
from spotdeploy.provider import ProviderConfig
from spotdeploy_libcloud.trust import require_own_host

Location = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+[a-z0-9]*$", examples=["eastus"])]
Size = Annotated[
    str, msgspec.Meta(pattern=r"^(Standard|Basic)_[A-Za-z0-9_-]+$", examples=["Standard_D2as_v5"])
]
Zone = Annotated[str, msgspec.Meta(pattern=r"^[1-9]$", examples=["1"])]
Guid = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
SubnetId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/"
        r"virtualNetworks/[^/]+/subnets/[^/]+$"
    ),
]

ENDPOINT_VARIABLE: Final = "SPOTDEPLOY_PROVIDER_AZURE_ENDPOINT"
"""Azure's own tools have no variable for the Resource Manager's URL."""
LOGIN_VARIABLE: Final = "AZURE_AUTHORITY_HOST"
OWN_HOSTS: Final = (
    r"([a-z0-9-]+\.)?management\.azure\.com|management\.(chinacloudapi\.cn|usgovcloudapi\.net|"
    r"microsoftazure\.de|sovcloud-api\.(fr|de|sg))"
)
"""The Resource Manager of each Azure, and of a region:
https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/manage-resources-rest"""
OWN_LOGINS: Final = (
    r"login(-us)?\.microsoftonline\.(com|us|de)|login\.partner\.microsoftonline\.cn|"
    r"login\.(microsoft\.com|windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)|"
    r"sts\.windows\.net|login\.sovcloud-identity\.(fr|de|sg)"
)
"""Entra's logins, as Microsoft's own library knows them:
https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud"""


class LocationConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `[provider.azure.location.NAME]`: what is another in that location."""

    subnet: SubnetId | None = None
    """In place of `subnet`."""
    zones: tuple[Zone, ...] = ()
    """In place of `zones`."""
    image: str | None = None
    """In place of `image`."""


class AzureConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `[provider.azure]`. Everything has a default that suits a fresh subscription."""

    of_account: ClassVar = frozenset(
        {
            "tenant",
            "client_id",
            "client_secret",
            "subscription",
            "cloud",
            "endpoint",
            "login_endpoint",
        }
    )

    tenant: str | None = None
    """The Entra tenant's id; AZURE_TENANT_ID when left out."""
    client_id: str | None = None
    """The service principal's application id; AZURE_CLIENT_ID when left out."""
    client_secret: Secret | None = None
    """Its secret as "env:NAME" or "file:PATH"; AZURE_CLIENT_SECRET when left out."""
    subscription: Guid | None = None
    """The only subscription in which anything is created or destroyed; AZURE_SUBSCRIPTION_ID when
    left out."""
    cloud: Literal["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"] = "AzureCloud"
    """Which of the Azures."""
    locations: tuple[Location, ...] = ()
    """First choice first; AZURE_LOCATION or eastus when left out."""
    location: dict[Location, LocationConfig] = msgspec.field(default_factory=dict)
    """Location to what is another there: `subnet`, `zones` and `image`, each in place of the key of
    that name."""
    zones: tuple[Zone, ...] = ()
    """Availability zones, first choice first; Azure chooses when left out."""
    sizes: Annotated[tuple[Size, ...], msgspec.Meta(min_length=1)] = (
        "Standard_D2as_v5",
        "Standard_D2s_v5",
    )
    """VM sizes, first choice first. The B series cannot be had as Spot."""
    image: str = "ubuntu-lts"
    """`ubuntu-lts`, `publisher:offer:sku:version`, or the id of an image or image version."""
    subnet: SubnetId | None = None
    """Where to put nodes; a network of the run's own when left out. A subnet is in one location, so
    that several need one each."""
    address: Literal["public", "private"] = "public"
    """Which address of a node ssh dials; with `private`, nodes get no public one."""
    root_volume_gb: Annotated[int, msgspec.Meta(ge=30, le=4095)] = 30
    """Size of the OS disk in GiB; Ubuntu's images need 30."""
    disk_type: Literal["Standard_LRS", "StandardSSD_LRS", "Premium_LRS"] = "StandardSSD_LRS"
    """Type of the OS disk."""
    auto_shutdown: bool = True
    """Have Azure deallocate each node at the time of day when its time to live ends."""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    """More tags for every group and node, such as a cost centre."""
    price_service: str | None = None
    """URL of the Retail Prices API, https://prices.azure.com; prices are unknown without it."""
    endpoint: str | None = None
    """URL of another Resource Manager of Azure's. One of anybody else's is named in
    SPOTDEPLOY_PROVIDER_AZURE_ENDPOINT."""
    login_endpoint: str | None = None
    """URL of another Entra login of Azure's. One of anybody else's is named in
    AZURE_AUTHORITY_HOST."""
    address_service: str = "https://checkip.amazonaws.com"
    """Asked for this computer's own address when `nodes.allow_from` is left out."""

    def __post_init__(self) -> None:
        """Raises ConfigError where credentials would go to another host than Azure's."""
        require_own_host("provider.azure.endpoint", self.endpoint, OWN_HOSTS, ENDPOINT_VARIABLE)
        require_own_host(
            "provider.azure.login_endpoint", self.login_endpoint, OWN_LOGINS, LOGIN_VARIABLE
        )

    def at(self, location: str) -> AzureConfig:
        """The same, with what is another in a location."""
        own = self.location.get(location, LocationConfig())
        return msgspec.structs.replace(
            self,
            subnet=own.subnet or self.subnet,
            zones=own.zones or self.zones,
            image=own.image or self.image,
        )
