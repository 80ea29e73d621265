"""What would stop a run on Azure, found without making anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from spotdeploy.model import Problem
from spotdeploy_azure.actions import Action, permissions
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import MORE_QUOTA
from spotdeploy_azure.schemas import Permission, ResourceProvider, Subscription, Usage
from spotdeploy_libcloud.doctor import problems_of

ENABLED: Final = ("Enabled", "Warned", "PastDue")
NAMESPACES: Final = ("Microsoft.Compute", "Microsoft.Network")
SCHEDULES: Final = "Microsoft.DevTestLab"
SPOT_CORES: Final = "lowPriorityCores"
REGULAR_CORES: Final = "cores"


def examine(cloud: Cloud, config: AzureConfig) -> list[Problem]:
    """Credentials, subscription, registrations, permissions, quotas, sizes and images."""
    first = problems_of(lambda: _subscription(cloud))
    if first:
        return first
    checks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _registrations(cloud, config),
        lambda: _permissions(cloud),
        lambda: _quotas(cloud),
        lambda: _sizes(cloud, config.sizes),
    )
    return [problem for check in checks for problem in problems_of(check)]


def _subscription(cloud: Cloud) -> Iterator[Problem]:
    found = cloud.driver.call(Action.GET_SUBSCRIPTION, Subscription)
    if found.state not in ENABLED:
        what = f"subscription {found.display_name} ({found.subscription_id}) is {found.state}"
        yield Problem(what, "enable it in the portal, or choose another")


def _registrations(cloud: Cloud, config: AzureConfig) -> Iterator[Problem]:
    wanted = (*NAMESPACES, SCHEDULES) if config.auto_shutdown else NAMESPACES
    for namespace in wanted:
        found = cloud.driver.call(Action.GET_PROVIDER, ResourceProvider, {"namespace": namespace})
        if found.registration_state != "Registered":
            what = f"the subscription is not registered with {namespace}"
            yield Problem(what, f"run 'az provider register --namespace {namespace}'")
        elif namespace == SCHEDULES and not _has_schedules(found, cloud.location):
            what = f"{cloud.location} has no auto-shutdown"
            yield Problem(what, "set auto_shutdown = false under [provider.azure]")


def _has_schedules(provider: ResourceProvider, location: str) -> bool:
    names = {
        name.replace(" ", "").lower()
        for kind in provider.resource_types
        if kind.resource_type == "schedules"
        for name in kind.locations
    }
    return location in names


def _permissions(cloud: Cloud) -> Iterator[Problem]:
    """https://learn.microsoft.com/en-us/rest/api/authorization/permissions"""
    granted = cloud.driver.pages(Action.LIST_PERMISSIONS, Permission)
    missing = [one for one in permissions() if not any(_covers(each, one) for each in granted)]
    if missing:
        what = f"the service principal may not {', '.join(missing)}"
        yield Problem(what, "give it a role with these actions; see docs/providers/azure.md")


def _covers(granted: Permission, action: str) -> bool:
    wanted = action.lower()
    allowed = any(fnmatchcase(wanted, one.lower()) for one in granted.actions)
    return allowed and not any(fnmatchcase(wanted, one.lower()) for one in granted.not_actions)


def _quotas(cloud: Cloud) -> Iterator[Problem]:
    found = cloud.driver.pages(Action.LIST_USAGES, Usage, {"location": cloud.location})
    for usage in found:
        spot = usage.name.value == SPOT_CORES
        if (spot or usage.name.value == REGULAR_CORES) and usage.current_value >= usage.limit:
            what = (
                f"quota {usage.name.localized_value or usage.name.value} of {cloud.location} "
                f"is used up: {usage.current_value} of {usage.limit}"
            )
            yield Problem(what, MORE_QUOTA, fatal=spot)


def _sizes(cloud: Cloud, names: Sequence[str]) -> Iterator[Problem]:
    for name in names:
        size = cloud.sizes.get(name)
        if size is None:
            what = f"Azure does not sell {name} to this subscription in {cloud.location}"
            yield Problem(what, "check provider.azure.sizes", fatal=not cloud.sizes)
        elif not size.spot:
            yield Problem(f"{name} cannot be had as Spot", "choose another size", fatal=False)
    for arm64 in {size.arm64 for size in cloud.sizes.values()}:
        cloud.images.reference(arm64=arm64)
