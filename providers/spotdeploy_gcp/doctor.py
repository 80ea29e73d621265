"""What would stop a run on GCP, found without making anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Final

from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Batch, Market, Pool, Problem
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.config import GcpConfig, network_path, project_of, subnetwork_path
from spotdeploy_gcp.errors import MISSING, MORE_QUOTA, family
from spotdeploy_gcp.request import disk_type
from spotdeploy_gcp.schemas import MachineType, Network, Quota, last
from spotdeploy_libcloud.doctor import did_you_mean, problems_of
from spotdeploy_libcloud.quota import Need, share, shortages

NO_HYPERDISK: Final = frozenset({"c2", "c2d", "e2", "f1", "g1", "n1", "n2", "n2d", "t2a", "t2d"})
"""Series that take no balanced Hyperdisk."""
MAX_LABELS: Final = 64
_KEY: Final = re.compile(r"[^\W\d_][\w-]{0,62}")
_VALUE: Final = re.compile(r"[\w-]{0,63}")


def examine(cloud: Cloud, config: GcpConfig, regions: Sequence[str]) -> list[Problem]:
    """Credentials, project, region, network, sizes and images. `regions` are all of the config."""
    first = problems_of(lambda: _project(cloud, config))
    if not first:
        first = problems_of(lambda: _region(cloud))
    if any(problem.fatal for problem in first):
        return first
    checks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _zones(cloud, config.zones, regions),
        lambda: _network(cloud, config),
        lambda: _sizes(cloud, config),
    )
    return [*first, *(problem for check in checks for problem in problems_of(check))]


def objections(
    cloud: Cloud, config: GcpConfig, regions: Sequence[str], pool: Pool, batch: Batch
) -> list[Problem]:
    """What Compute Engine would refuse of a batch; see `SupportsPlan`."""
    return [
        *(problems_of(lambda: _reachable(cloud, batch)) if config.firewall else _own_rules(batch)),
        *_labels(config.labels, len(batch.labels)),
        *problems_of(lambda: _disk(cloud, config)),
        *problems_of(lambda: _quotas(cloud, config, regions, pool, batch)),
        *(_prices(cloud) if pool.max_usd_per_hour is not None else []),
    ]


def _own_rules(batch: Batch) -> Iterator[Problem]:
    if batch.open_between:
        yield Problem(
            "nodes.open_between opens nothing where provider.gcp.firewall is false",
            "let a rule of your own do so, aimed at provider.gcp.tags",
            fatal=False,
        )


def _project(cloud: Cloud, config: GcpConfig) -> Iterator[Problem]:
    """https://cloud.google.com/compute/docs/oslogin/set-up-oslogin: with two factors, sshd wants an
    answer from the keyboard after the key."""
    metadata = cloud.project.common_instance_metadata
    on = config.os_login or (config.os_login is None and metadata.is_true("enable-oslogin"))
    if on and metadata.is_true("enable-oslogin-2fa"):
        yield Problem(
            f"project {cloud.project.name} asks for a second factor at OS Login; nobody gives it",
            "set os_login = false under [provider.gcp]",
            exit_code=2,
        )


def _region(cloud: Cloud) -> Iterator[Problem]:
    try:
        cloud.about  # noqa: B018  # it raises when there is no such region
    except ProviderError as error:
        if error.code not in MISSING:
            raise
        regions = cloud.regions()
        choice = f"the project's regions are {', '.join(regions)}"
        choice = did_you_mean(cloud.region, regions, choice)
        yield Problem(f"provider.gcp.regions: {error.message}", choice, exit_code=2)


def _zones(cloud: Cloud, zones: Sequence[str], regions: Sequence[str]) -> Iterator[Problem]:
    cloud.zones  # noqa: B018  # it raises when there is nowhere to put a node
    here = [zone for zone in zones if zone.startswith(f"{cloud.region}-")]
    nowhere = [zone for zone in zones if not zone.startswith(tuple(f"{one}-" for one in regions))]
    for zone in [*(zone for zone in here if zone not in cloud.zones), *nowhere]:
        where = f"in {cloud.region}" if zone in here else "in a region of provider.gcp.regions"
        yield Problem(
            f"provider.gcp.zones: there is no zone {zone} {where}",
            f"the zones of {cloud.region} are {', '.join(cloud.all_zones)}",
            exit_code=2,
        )


def _network(cloud: Cloud, config: GcpConfig) -> Iterator[Problem]:
    """https://cloud.google.com/vpc/docs/vpc#subnet-ranges"""
    path = network_path(config.network, cloud.driver.project)
    at = {"project": project_of(path), "network": last(path)}
    network = cloud.driver.call(Action.GET_NETWORK, Network, at)
    subnetwork = subnetwork_path(config, cloud.driver.project, cloud.region)
    here = [last(url) for url in network.subnetworks if f"/regions/{cloud.region}/" in url]
    choice = f"those in {cloud.region} are {', '.join(here)}" if here else "make one there"
    if subnetwork is None and not network.auto_create_subnetworks:
        what = f"network {config.network} is in custom mode, and provider.gcp.subnetwork is not set"
        yield Problem(what, f"set it; {choice}", exit_code=2)
    elif subnetwork is not None and (
        f"/regions/{cloud.region}/" not in subnetwork
        or not any(url.endswith(f"/{subnetwork}") for url in network.subnetworks)
    ):
        what = f"network {config.network} has no subnetwork {config.subnetwork} in {cloud.region}"
        yield Problem(what, f"check provider.gcp.subnetwork; {choice}", exit_code=2)


def _sizes(cloud: Cloud, config: GcpConfig) -> Iterator[Problem]:
    sold = _sold(cloud)
    for size in config.sizes:
        if size not in sold:
            what = f"{size} is not sold in the usable zones of {cloud.region}"
            remedy = did_you_mean(size, cloud.sizes.like(size), "check provider.gcp.sizes")
            yield Problem(what, remedy, fatal=not sold, exit_code=2)
    unfit = [size for size in config.sizes if size in sold and not _takes(size, config.disk_type)]
    for size in unfit:
        yield Problem(
            f"{size} does not take provider.gcp.disk_type {config.disk_type}",
            f"take disk_type out, or set it to {disk_type(size)}",
            fatal=len(unfit) == len(sold),
            exit_code=2,
        )
    for size in sold:
        cloud.images.for_architecture(cloud.sizes.architecture(size))


def _takes(size: str, disk: str | None) -> bool:
    """Whether a boot disk of a type suits a size, as far as it is known:
    https://cloud.google.com/compute/docs/disks#disk-types"""
    if disk is None:
        return True
    if disk.startswith("pd-"):
        return disk_type(size) == "pd-balanced"
    return not (disk == "hyperdisk-balanced" and size.partition("-")[0] in NO_HYPERDISK)


def _sold(cloud: Cloud) -> set[str]:
    return {size for zone, size in cloud.sizes.machine_types if zone in cloud.zones}


def _reachable(cloud: Cloud, batch: Batch) -> Iterator[Problem]:
    """Nodes have IPv4 addresses only."""
    ingress = cloud.firewall.own_address.ingress(batch)
    if not ingress.cidrs(4):
        yield Problem(
            f"nodes have IPv4 addresses, and only {', '.join(ingress.sources)} may reach them",
            "add the IPv4 addresses that you come from to nodes.allow_from",
            exit_code=2,
        )


def _disk(cloud: Cloud, config: GcpConfig) -> Iterator[Problem]:
    """A disk may not be smaller than its image:
    https://cloud.google.com/compute/docs/disks/create-root-persistent-disks"""
    given = config.root_volume_gb
    for architecture in sorted({cloud.sizes.architecture(size) for size in _sold(cloud)}):
        image = cloud.images.for_architecture(architecture)
        if (needed := int(image.disk_size_gb)) > given:
            yield Problem(
                f"provider.gcp.root_volume_gb is {given}, and image {image.name} needs {needed}",
                f"set root_volume_gb = {needed} under [provider.gcp]",
                exit_code=2,
            )


def _labels(labels: Mapping[str, str], ours: int) -> Iterator[Problem]:
    """https://cloud.google.com/compute/docs/labeling-resources#requirements"""
    if len(labels) > MAX_LABELS - ours:
        what = f"provider.gcp.labels has {len(labels)} labels"
        yield Problem(what, f"Google takes {MAX_LABELS - ours} besides ours", exit_code=2)
    for key, value in labels.items():
        lower = (key, value) == (key.lower(), value.lower())
        if not (lower and _KEY.fullmatch(key) and _VALUE.fullmatch(value)):
            what = f"provider.gcp.labels: Google does not take {key[:80]!r} = {value[:80]!r}"
            remedy = "use lower case letters, digits, _ and -, beginning the key with a letter"
            yield Problem(what, f"{remedy}; at most 63 characters each", exit_code=2)


def _prices(cloud: Cloud) -> Iterator[Problem]:
    cloud.prices.load()
    if (trouble := cloud.prices.trouble) is not None:
        what = "nodes.max_price leaves out what has no known price, and none is known"
        remedy = "run 'gcloud services enable cloudbilling.googleapis.com', or take max_price out"
        yield Problem(f"{what}: {trouble.message}", remedy, fatal=False)


def _quotas(
    cloud: Cloud, config: GcpConfig, regions: Sequence[str], pool: Pool, batch: Batch
) -> list[Problem]:
    """A lack is fatal when it leaves none of the sizes."""
    count, fatal = share(pool, batch, regions)
    spot = pool.policy.markets[0] is Market.SPOT
    scope = names.scope(batch.labels[names.DEPLOYMENT])
    region = cloud.about.quotas
    own = [quota for quota in region if quota.metric == "PREEMPTIBLE_CPUS" and quota.limit]
    amount = partial(_amount, config, preemptible=spot and bool(own))
    kinds = {size: cloud.sizes.of(size) for size in _sold(cloud)}
    remedy = f"{MORE_QUOTA}, ask for fewer or smaller nodes, or choose another region"

    own_nodes = cache(lambda: cloud.nodes.with_labels(scope))
    found: list[Problem] = []
    stopped: set[str] = set()
    for where, quotas in ((cloud.region, region), ("the project", cloud.project.quotas)):
        for quota in quotas:
            takes = {
                size: needed
                for size, kind in kinds.items()
                if (needed := amount(quota.metric, kind)) is not None
            }
            if takes:
                need = _need(quota, where, count, takes, kinds)
                short = shortages([need], own_nodes, remedy, fatal=False)
                found += short
                stopped |= takes.keys() if short else set()
    if fatal and stopped == kinds.keys():
        return [replace(problem, fatal=True) for problem in found]
    return found


def _amount(
    config: GcpConfig, metric: str, kind: MachineType, *, preemptible: bool
) -> float | None:
    """What a node of a machine type takes of a quota; None when it is not counted there. Spot nodes
    take preemptible CPUs where a project has that quota:
    https://cloud.google.com/compute/resource-usage"""
    disk = config.disk_type or disk_type(kind.name)
    disks = "HDB_TOTAL_GB" if disk.startswith("hyperdisk-balanced") else "SSD_TOTAL_GB"
    takes = {
        "INSTANCES": 1.0,
        "DISKS_TOTAL_GB" if disk == "pd-standard" else disks: float(config.root_volume_gb),
    }
    if config.address == "public":
        takes["IN_USE_ADDRESSES"] = 1.0
    series = kind.name.partition("-")[0].upper()
    of_family = "CPUS" if family(kind.name) == "cpus" else f"{series}_CPUS"
    usual = ("CPUS_ALL_REGIONS", of_family, f"{series}_CPUS")
    for name in ("PREEMPTIBLE_CPUS",) if preemptible else usual:
        takes[name] = float(kind.guest_cpus)
    return takes.get(metric)


def _need(
    quota: Quota,
    where: str,
    count: int,
    takes: Mapping[str, float],
    kinds: Mapping[str, MachineType],
) -> Need:
    """What the smallest of the sizes takes: the walk may end there."""

    def by_node(size: str) -> float | None:
        return takes.get(size, 0.0) if size in kinds else None

    name = f"{quota.metric} of {where}"
    return Need(name, quota.limit, quota.usage, count * min(takes.values()), by_node)
