"""What would stop a run on GCP, found without making anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from spotdeploy import labels as names
from spotdeploy.model import Batch, Market, Pool, Problem
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.errors import MORE_QUOTA
from spotdeploy_gcp.offers import image_gb
from spotdeploy_gcp.schemas import Network, Quota, last
from spotdeploy_libcloud.doctor import problems_of
from spotdeploy_libcloud.quota import Need, share, shortages

PER_CPU: Final = ("CPUS", "CPUS_ALL_REGIONS", "PREEMPTIBLE_CPUS")
PER_NODE: Final = ("INSTANCES", "IN_USE_ADDRESSES")
"""Quotas: https://cloud.google.com/compute/resource-usage"""
MAX_LABELS: Final = 64
_KEY: Final = re.compile(r"[^\W\d_][\w-]{0,62}")
_VALUE: Final = re.compile(r"[\w-]{0,63}")


def examine(cloud: Cloud, config: GcpConfig) -> list[Problem]:
    """Credentials, project, region, network, sizes and images."""
    first = problems_of(lambda: _project(cloud))
    if first:
        return first
    checks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _region(cloud),
        lambda: _network(cloud, config.network),
        lambda: _sizes(cloud, config.sizes),
    )
    return [problem for check in checks for problem in problems_of(check)]


def objections(
    cloud: Cloud, config: GcpConfig, regions: Sequence[str], pool: Pool, batch: Batch
) -> list[Problem]:
    """What Compute Engine would refuse of a batch; see `SupportsPlan`."""
    return [
        *cloud.firewall.own_address.objections(batch),
        *_labels(config.labels, len(batch.labels)),
        *problems_of(lambda: _disk(cloud, config)),
        *problems_of(lambda: _quotas(cloud, config, regions, pool, batch)),
    ]


def _project(cloud: Cloud) -> Iterable[Problem]:
    cloud.project  # noqa: B018  # it raises when the credentials are no good
    return ()


def _region(cloud: Cloud) -> Iterable[Problem]:
    cloud.zones  # noqa: B018  # it raises when there is nowhere to put a node
    return ()


def _network(cloud: Cloud, network: str) -> Iterable[Problem]:
    cloud.driver.call(Action.GET_NETWORK, Network, {"network": network})
    return ()


def _sizes(cloud: Cloud, sizes: Sequence[str]) -> Iterator[Problem]:
    sold = _sold(cloud)
    for size in sizes:
        if size not in sold:
            what = f"{size} is not sold in the usable zones of {cloud.region}"
            yield Problem(what, "check provider.gcp.sizes", fatal=not sold, exit_code=2)
    for size in sold:
        cloud.images.for_architecture(cloud.sizes.architecture(size))


def _sold(cloud: Cloud) -> set[str]:
    return {size for zone, size in cloud.sizes.machine_types if zone in cloud.zones}


def _disk(cloud: Cloud, config: GcpConfig) -> Iterator[Problem]:
    """A disk may not be smaller than its image:
    https://cloud.google.com/compute/docs/disks/create-root-persistent-disks"""
    given = config.root_volume_gb
    for architecture in sorted({cloud.sizes.architecture(size) for size in _sold(cloud)}):
        url = cloud.images.for_architecture(architecture)
        if (needed := image_gb(cloud.driver, url)) > given:
            yield Problem(
                f"provider.gcp.root_volume_gb is {given}, and image {last(url)} needs {needed}",
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


def _quotas(
    cloud: Cloud, config: GcpConfig, regions: Sequence[str], pool: Pool, batch: Batch
) -> list[Problem]:
    count, fatal = share(pool, batch, regions)
    spot = pool.policy.markets[0] is Market.SPOT
    scope = names.scope(batch.labels[names.DEPLOYMENT])
    region = cloud.about.quotas
    own = [quota for quota in region if quota.metric == "PREEMPTIBLE_CPUS" and quota.limit]
    replaced = {"CPUS", "CPUS_ALL_REGIONS"} if spot and own else {"PREEMPTIBLE_CPUS"}
    needs = [
        _need(cloud, quota, where, count)
        for where, quotas in ((cloud.region, region), ("the project", cloud.project.quotas))
        for quota in quotas
        if quota.metric in (*PER_CPU, *PER_NODE) and quota.metric not in replaced
        if quota.metric != "IN_USE_ADDRESSES" or config.address == "public"
    ]
    remedy = f"{MORE_QUOTA}, ask for fewer or smaller nodes, or choose another region"

    def own_sizes() -> list[str]:
        return [node.size or "" for node in cloud.nodes.with_labels(scope)]

    return shortages(needs, own_sizes, remedy, fatal=fatal)


def _need(cloud: Cloud, quota: Quota, where: str, count: int) -> Need:
    """What the smallest of the sizes takes: the walk may end there."""
    kinds = {size: kind.guest_cpus for (_, size), kind in cloud.sizes.machine_types.items()}

    def by_node(size: str) -> float | None:
        return kinds.get(size) if quota.metric in PER_CPU else 1

    least = min(filter(None, map(by_node, kinds)), default=1)
    name = f"{quota.metric} of {where}"
    return Need(name, quota.limit, quota.usage, count * least, by_node)
