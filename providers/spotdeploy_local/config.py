"""The `[provider.local]` table."""

from __future__ import annotations

from typing import Literal

from spotdeploy.provider import ProviderConfig


class LocalConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How machines on this host are made."""

    engine: Literal["auto", "nspawn", "podman", "docker"] = "auto"
    """What boots the machines. `auto` is systemd-nspawn where root has it on Linux, else podman,
    else docker; `plan` says what another one lacks, and why it was taken."""

    image: str = "debian-12"
    """`debian-12`, `debian-13` or `ubuntu-24.04`; with podman or docker also `fedora-43`, the name
    of an image in a registry, or the path of a Containerfile."""

    nested: bool = False
    """Give nodes what a podman or docker of the payload's own needs: a disk for its images that is
    no overlay. With podman or docker only."""

    cloud_init: bool = False
    """Boot the image with cloud-init, as cloud images do; each boot takes about 2 s more."""
