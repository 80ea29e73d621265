"""The `[provider.local]` table."""

from __future__ import annotations

from spotdeploy.provider import ProviderConfig


class LocalConfig(ProviderConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How machines on this host are made."""

    cloud_init: bool = False
    """Boot the image with cloud-init, as cloud images do; each boot takes about 2 s more."""
