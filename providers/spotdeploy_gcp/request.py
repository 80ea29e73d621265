"""The bulk insert request. Pure functions: what is asked for, as data.

https://cloud.google.com/compute/docs/reference/rest/v1/instances/bulkInsert
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spotdeploy.errors import ConfigError
from spotdeploy.model import Batch, Market, Offer
from spotdeploy_gcp.config import GcpConfig, network_path, subnetwork_path
from spotdeploy_libcloud.request import Body, Json, check_user_data

METADATA_LIMIT: Final = 262144
"""Bytes of one metadata value: https://cloud.google.com/compute/docs/metadata/setting-custom-metadata"""
USER_DATA_LIMIT: Final = METADATA_LIMIT * 3 // 4
"""Bytes before base64, which compressed user-data needs."""
MAX_LIFE: Final = 120 * 86400
"""Seconds: https://cloud.google.com/compute/docs/instances/limit-vm-runtime"""
MIN_LIFE: Final = 30
"""Seconds; see `MAX_LIFE`."""
MARGIN: Final = 120.0
"""Seconds by which Google ends a node before the node ends itself. One that powers itself off is
TERMINATED, which takes its limit away and leaves its disk: Google's must come first, and it may be
half a minute late (see `MAX_LIFE`)."""
HYPERDISK_ONLY: Final = re.compile(
    r"(a4x?|c4[adn]?|ct6e|g4|h4d|m4n?|n4[ad]?|tpu7x|x4|z4[dm])-|a3-ultra"
)
"""Sizes that take no Persistent Disk: https://cloud.google.com/compute/docs/disks#disk-types. C4
and N4 take none, and C3 does, says https://github.com/nextflow-io/nextflow/issues/6614 too; Z3
takes both. Of the newest series this may be wrong: a disk that does not suit is refused for the
size alone, and `disk_type` says another."""
BOOTHOOK: Final = "#cloud-boothook"
UNLESS_CLOUD_INIT: Final = "command -v cloud-init >/dev/null && exit 0"
MAX_PER_CALL: Final = 1000
"""Instances in one call."""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything about a launch that had to be looked up."""

    project: str
    region: str
    image: str
    """URL."""
    tags: tuple[str, ...]
    """Network tags."""
    migrates: bool = True
    """Whether instances of the size can move to another host while they run."""


def bulk_insert(
    offer: Offer, batch: Batch, names: Sequence[str], site: Site, config: GcpConfig
) -> Body:
    """The body of the one call that makes these nodes of a batch: as many as there is room for."""
    labels = {**config.labels, **batch.labels}
    return {
        "count": str(len(names)),
        "minCount": "1",
        "perInstanceProperties": {name: {} for name in names},
        "instanceProperties": {
            "machineType": offer.size,
            "scheduling": scheduling(
                offer.market, batch.time_to_live - MARGIN, migrates=site.migrates
            ),
            "disks": [_boot_disk(offer.size, site.image, labels, config)],
            "networkInterfaces": [_interface(site, config)],
            "metadata": {"items": _metadata(batch.user_data, config)},
            "labels": labels,
            "tags": {"items": site.tags},
            **shielded(config),
        },
    }


def shielded(config: GcpConfig) -> Body:
    """What is asked for besides the image's own defaults. Integrity is measured with a vTPM.
    https://cloud.google.com/compute/shielded-vm/docs/shielded-vm"""
    if not config.secure_boot:
        return {}
    wanted = ("enableSecureBoot", "enableVtpm", "enableIntegrityMonitoring")
    return {"shieldedInstanceConfig": dict.fromkeys(wanted, True)}


def disk_type(size: str) -> str:
    """The type of boot disk that suits a size: not too slow, and taken by its series."""
    return "hyperdisk-balanced" if HYPERDISK_ONLY.match(size) else "pd-balanced"


def scheduling(market: Market, longest: float, *, migrates: bool) -> Body:
    """How the instances are bought, and that Google deletes them after `longest` seconds."""
    spot = market is Market.SPOT
    return {
        "provisioningModel": "SPOT" if spot else "STANDARD",
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": {"seconds": str(max(MIN_LIFE, math.ceil(longest)))},
        "automaticRestart": False,
        "onHostMaintenance": "MIGRATE" if migrates and not spot else "TERMINATE",
    }


def names(batch: Batch) -> list[str]:
    """The instances' names, the same for the same token: at most 63 characters."""
    stem = f"sd-{batch.token}"
    if len(stem) > 57:
        stem = f"sd-{hashlib.sha256(batch.token.encode()).hexdigest()[:32]}"
    return [f"{stem}-{number}" for number in range(batch.count)]


def request_id(*parts: str) -> str:
    """A UUID, the same for the same parts: Google answers a repeated one with the same operation,
    and does nothing more."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "spotdeploy/" + "/".join(parts)))


def check(batch: Batch) -> None:
    """Raises ConfigError for user-data or a time to live that Google does not take."""
    check_user_data(batch.user_data, USER_DATA_LIMIT, "Compute Engine")
    if batch.time_to_live > MAX_LIFE:
        raise ConfigError(
            f"nodes.time_to_live is {batch.time_to_live:.0f} s; Compute Engine takes "
            f"{MAX_LIFE} (120 days)",
            hint="choose a shorter one",
        )


def _boot_disk(size: str, image: str, labels: Mapping[str, str], config: GcpConfig) -> Body:
    return {
        "boot": True,
        "autoDelete": True,
        "type": "PERSISTENT",
        "initializeParams": {
            "sourceImage": image,
            "diskSizeGb": str(config.root_volume_gb),
            "diskType": config.disk_type or disk_type(size),
            "labels": labels,
        },
    }


def _interface(site: Site, config: GcpConfig) -> Body:
    interface: dict[str, Json] = {"network": network_path(config.network, site.project)}
    subnetwork = subnetwork_path(config, site.project, site.region)
    if subnetwork is not None:
        interface["subnetwork"] = subnetwork
    if config.address == "public":
        interface["accessConfigs"] = [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]
    return interface


def _metadata(user_data: bytes, config: GcpConfig) -> list[Body]:
    """https://cloudinit.readthedocs.io/en/latest/reference/datasources/gce.html: values are text,
    so compressed user-data goes as base64."""
    items: dict[str, str] = {"block-project-ssh-keys": "true"}
    if config.os_login is not None:
        items["enable-oslogin"] = str(config.os_login).upper()
    if _is_text(user_data):
        items["user-data"] = user_data.decode("utf-8")
        items |= startup_script(items["user-data"])
    else:
        items["user-data"] = base64.b64encode(user_data).decode("ascii")
        items["user-data-encoding"] = "base64"
    return [{"key": key, "value": value} for key, value in items.items()]


def startup_script(user_data: str) -> dict[str, str]:
    """User-data for images without cloud-init, such as Google's own Debian: their guest agent runs
    a startup script as root on every boot, as cloud-init does with a boothook. Where there is
    cloud-init, it leaves the work to that.
    https://cloud.google.com/compute/docs/instances/startup-scripts/linux"""
    kind, _, script = user_data.partition("\n")
    shebang, _, rest = script.partition("\n")
    if kind != BOOTHOOK or not shebang.startswith("#!"):
        return {}
    return {"startup-script": f"{shebang}\n{UNLESS_CLOUD_INIT}\n{rest}"}


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False
