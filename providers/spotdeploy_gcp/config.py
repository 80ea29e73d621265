"""`[provider.gcp]`: which project, where, and what kind of machines."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from spotdeploy.provider import ProviderConfig

Region = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+-[a-z]+\d+$", examples=["us-central1"])]
Zone = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z]+-[a-z]+\d+-[a-z0-9]+$", examples=["us-central1-a"])
]
Size = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{1,62}$", examples=["e2-small"])]
Project = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
ResourceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]


class GcpConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `[provider.gcp]`. Everything has a default that suits a fresh project."""

    credentials: str | None = None
    """A service account's key file; application-default credentials when left out."""
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
    network: ResourceName = "default"
    """The VPC network of the nodes."""
    subnetwork: ResourceName | None = None
    """Needed for a network whose subnetworks are not made automatically."""
    address: Literal["public", "private"] = "public"
    """Which address of a node ssh dials; with `private`, nodes get no public one."""
    root_volume_gb: Annotated[int, msgspec.Meta(ge=10, le=65536)] = 16
    """Size of the boot disk in GiB."""
    disk_type: ResourceName = "pd-balanced"
    """Type of the boot disk."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """More labels for every node and disk, such as a cost centre."""
    endpoint: str = "https://compute.googleapis.com"
    """URL of the Compute Engine API, without its path."""
    address_service: str = "https://checkip.amazonaws.com"
    """Asked for this computer's own address when `nodes.allow_from` is left out."""
