"""`[provider.gcp]`: which project, where, and what kind of machines."""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

import msgspec

from spotdeploy.provider import ProviderConfig
from spotdeploy_libcloud.trust import require_own_host

Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+-[a-z]+\d+$", examples=["us-central1"])]
Zone = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z]+-[a-z]+\d+-[a-z0-9]+$", examples=["us-central1-a"])
]
Size = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{1,62}$", examples=["e2-small"])]
Project = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
ENDPOINT: Final = "https://compute.googleapis.com"
BILLING: Final = "https://cloudbilling.googleapis.com"
ENDPOINT_VARIABLE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"
"""Also gcloud's: https://cloud.google.com/sdk/gcloud/reference/topic/endpoint-override"""
PRICES_VARIABLE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING"
_UNIVERSES: Final = r"(googleapis\.com|s3nsapis\.fr|apis-berlin-build0\.goog)"
"""The domains of Google's APIs, and of the sovereign clouds that partners run."""
_API: Final = rf"(\.mtls)?\.{_UNIVERSES}|(\.[a-z0-9-]+\.rep|-[a-z0-9-]+\.p)\.{_UNIVERSES}"
"""What follows an API's name: its domain, a region's endpoint, a private one.
https://cloud.google.com/vpc/docs/private-service-connect#supported-apis"""
_SHARED: Final = rf"(www|private|restricted)\.{_UNIVERSES}"
OWN_HOSTS: Final = rf"compute({_API})|{_SHARED}"
OWN_PRICES: Final = rf"cloudbilling({_API})|{_SHARED}"
OWN_TOKENS: Final = rf"oauth2({_API})|{_SHARED}|accounts\.google\.com"
RESOURCE: Final = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
ResourceName = Annotated[str, msgspec.Meta(pattern=f"^{RESOURCE}$")]
Network = Annotated[
    str, msgspec.Meta(pattern=rf"^(projects/[a-z0-9.:-]+/global/networks/)?{RESOURCE}$")
]
Subnetwork = Annotated[
    str,
    msgspec.Meta(pattern=rf"^(projects/[a-z0-9.:-]+/regions/[a-z0-9-]+/subnetworks/)?{RESOURCE}$"),
]
Email = Annotated[str, msgspec.Meta(pattern=r"^[^@\s,]+@[^@\s,]+$")]


class GcpConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `[provider.gcp]`. Everything has a default that suits a fresh project."""

    credentials: str | None = None
    """A service account's key file; application-default credentials when left out."""
    impersonate: Email | None = None
    """The service account to act as: its email address. These credentials need the role
    roles/iam.serviceAccountTokenCreator on it."""
    project: Project | None = None
    """The only project in which anything is created or destroyed; that of the environment or
    the credentials when left out."""
    regions: tuple[Region, ...] = ()
    """First choice first; CLOUDSDK_COMPUTE_REGION or us-central1 when left out."""
    zones: tuple[Zone, ...] = ()
    """The zones to use, first choice first; all of each region when left out, but for AI zones such
    as us-central1-ai1a, which must be named."""
    sizes: Annotated[tuple[Size, ...], msgspec.Meta(min_length=1)] = ("e2-small", "e2-medium")
    """Machine types, first choice first."""
    image: str = "ubuntu-lts"
    """`ubuntu-lts`, an image's name, or `family/NAME` (newest wins)."""
    image_project: Project | None = None
    """Whose images `image` names; the own project when left out."""
    network: Network = "default"
    """The VPC network of the nodes: its name, or projects/HOST/global/networks/NAME for a shared
    VPC of the project HOST."""
    subnetwork: Subnetwork | None = None
    """Needed for a network whose subnetworks are not made automatically: its name, which is the
    same in each region, or projects/HOST/regions/REGION/subnetworks/NAME."""
    firewall: bool = True
    """Whether firewall rules are made for each run. With false, rules of your own decide who
    reaches the nodes, and `nodes.allow_from`, `nodes.open_ports` and `nodes.open_between` change
    nothing."""
    tags: Annotated[tuple[ResourceName, ...], msgspec.Meta(max_length=62)] = ()
    """Network tags of the nodes, such as those that rules of your own aim at."""
    address: Literal["public", "private"] = "public"
    """Which address of a node ssh dials; with `private`, nodes get no public one."""
    root_volume_gb: Annotated[int, msgspec.Meta(ge=10, le=65536)] = 16
    """Size of the boot disk in GiB."""
    disk_type: ResourceName | None = None
    """Type of the boot disk; pd-balanced when left out, or hyperdisk-balanced for sizes that take
    no Persistent Disk, such as those of C4 and N4."""
    secure_boot: bool = False
    """Whether nodes boot nothing that is not signed, as some organizations ask for. The image must
    be one that can."""
    os_login: bool | None = None
    """Whether OS Login is on; as in the project's metadata when left out. With false, a project
    that asks for a second factor does not lock spotdeploy out."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """More labels for every node and disk, such as a cost centre."""
    endpoint: str | None = None
    """URL of another Compute Engine API of Google's, without its path, such as one by Private
    Service Connect. One of anybody else's is named in CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE."""
    price_service: str | None = None
    """URL of the Cloud Billing API, which is asked for prices; Google's own when left out, or none
    where `endpoint` is set."""
    address_service: str = "https://checkip.amazonaws.com"
    """Asked for this computer's own address when `nodes.allow_from` is left out."""

    def __post_init__(self) -> None:
        """Raises ConfigError where credentials would go to another host than Google's."""
        require_own_host("provider.gcp.endpoint", self.endpoint, OWN_HOSTS, ENDPOINT_VARIABLE)
        require_own_host(
            "provider.gcp.price_service", self.price_service, OWN_PRICES, PRICES_VARIABLE
        )

    @property
    def api(self) -> str:
        """URL of the Compute Engine API: the config's, the environment's or Google's own."""
        return self.endpoint or os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT

    @property
    def prices(self) -> str | None:
        """URL of the Cloud Billing API; None where prices are not known."""
        named = self.price_service or os.environ.get(PRICES_VARIABLE)
        return named or (BILLING if self.api == ENDPOINT else None)


def network_path(network: str, project: str) -> str:
    """The path of a network, which the config may give. `project` is that of the nodes."""
    return network if "/" in network else f"projects/{project}/global/networks/{network}"


def subnetwork_path(config: GcpConfig, project: str, region: str) -> str | None:
    """The path of the subnetwork in a region; None when Google is to choose it."""
    if config.subnetwork is None or "/" in config.subnetwork:
        return config.subnetwork
    host = project_of(network_path(config.network, project))
    return f"projects/{host}/regions/{region}/subnetworks/{config.subnetwork}"


def project_of(path: str) -> str:
    """The project in the path of a thing, as in `projects/PROJECT/...`."""
    return path.split("/")[1]
