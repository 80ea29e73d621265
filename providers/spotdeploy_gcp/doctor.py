"""What would stop a run on GCP, found without making anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from spotdeploy.model import Problem
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.errors import MORE_QUOTA
from spotdeploy_gcp.schemas import Network, Project, Quota
from spotdeploy_libcloud.doctor import problems_of

NEEDED: Final = frozenset(
    {"CPUS", "CPUS_ALL_REGIONS", "FIREWALLS", "INSTANCES", "IN_USE_ADDRESSES"}
)
"""Quotas of which a node takes at least one:
https://cloud.google.com/compute/resource-usage"""


def examine(cloud: Cloud, config: GcpConfig) -> list[Problem]:
    """Credentials, project, region, quotas, network, sizes and images."""
    first = problems_of(lambda: _project(cloud))
    if first and any(problem.fatal for problem in first):
        return first
    checks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _region(cloud),
        lambda: _network(cloud, config.network),
        lambda: _sizes(cloud, config.sizes),
    )
    return first + [problem for check in checks for problem in problems_of(check)]


def _project(cloud: Cloud) -> Iterable[Problem]:
    project = cloud.driver.call(Action.GET_PROJECT, Project)
    return _exhausted(project.quotas, f"project {project.name}")


def _region(cloud: Cloud) -> Iterable[Problem]:
    cloud.zones  # noqa: B018  # it raises when there is nowhere to put a node
    return _exhausted(cloud.about.quotas, cloud.region)


def _network(cloud: Cloud, network: str) -> Iterable[Problem]:
    cloud.driver.call(Action.GET_NETWORK, Network, {"network": network})
    return ()


def _sizes(cloud: Cloud, sizes: Sequence[str]) -> Iterator[Problem]:
    sold = {size for zone, size in cloud.sizes.machine_types if zone in cloud.zones}
    for size in sizes:
        if size not in sold:
            what = f"{size} is not sold in the usable zones of {cloud.region}"
            yield Problem(what, "check provider.gcp.sizes", fatal=not sold)
    for size in sold:
        cloud.images.for_architecture(cloud.sizes.architecture(size))


def _exhausted(quotas: Sequence[Quota], where: str) -> Iterator[Problem]:
    for quota in quotas:
        if quota.metric in NEEDED and quota.limit - quota.usage < 1:
            yield Problem(
                f"quota {quota.metric} of {where} is used up: {quota.usage:g} of {quota.limit:g}",
                f"{MORE_QUOTA}, or choose another region",
            )
