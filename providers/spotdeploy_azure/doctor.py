"""What would stop a run on Azure, found without making anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Final

from spotdeploy import labels
from spotdeploy.model import Batch, Market, Node, Pool, Problem
from spotdeploy_azure.actions import Action, permissions
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.config import AzureConfig
from spotdeploy_azure.errors import MORE_QUOTA
from spotdeploy_azure.network import require_subnet
from spotdeploy_azure.schemas import Permission, ResourceProvider, Subscription, Usage
from spotdeploy_libcloud.doctor import did_you_mean, problems_of
from spotdeploy_libcloud.quota import Need, share, shortages

ENABLED: Final = ("Enabled", "Warned", "PastDue")
NAMESPACES: Final = ("Microsoft.Compute", "Microsoft.Network")
SCHEDULES: Final = "Microsoft.DevTestLab"
SPOT_CORES: Final = "lowPriorityCores"
REGULAR_CORES: Final = "cores"
MAX_TAGS: Final = 50
MAX_TAG_KEY: Final = 512
MAX_TAG_VALUE: Final = 256
FORBIDDEN: Final = frozenset("<>%&\\?/")


def examine(cloud: Cloud, config: AzureConfig) -> list[Problem]:
    """Credentials, subscription, registrations, permissions, sizes and images."""
    first = problems_of(lambda: _subscription(cloud))
    if first:
        return first
    checks: tuple[Callable[[], Iterable[Problem]], ...] = (
        lambda: _registrations(cloud, config),
        lambda: _permissions(cloud),
        lambda: _sizes(cloud, config.sizes),
        lambda: _zones(cloud, config.zones),
    )
    return [problem for check in checks for problem in problems_of(check)]


def objections(
    cloud: Cloud, config: AzureConfig, locations: Sequence[str], pool: Pool, batch: Batch
) -> list[Problem]:
    """What Azure would refuse of a batch; see `SupportsPlan`."""
    return [
        *cloud.own_address.objections(batch),
        *problems_of(lambda: _private(config)),
        *_places(config, locations, cloud.location),
        *_tags(config.tags, len(batch.labels)),
        *problems_of(lambda: _quotas(cloud, locations, pool, batch)),
    ]


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


def _quotas(cloud: Cloud, locations: Sequence[str], pool: Pool, batch: Batch) -> list[Problem]:
    """Cores of the market that is tried first, of which a node takes as many as the smallest size
    has; and on demand those of each family of sizes, where no other family has room:
    https://learn.microsoft.com/en-us/azure/virtual-machines/quotas"""
    count, fatal = share(pool, batch, locations)
    metric = SPOT_CORES if pool.policy.markets[0] is Market.SPOT else REGULAR_CORES
    scope = labels.scope(batch.labels[labels.DEPLOYMENT])
    least = min((size.cpus for size in cloud.sizes.values()), default=1)

    def by_node(size: str) -> float | None:
        return cloud.sizes[size].cpus if size in cloud.sizes else None

    def own_nodes() -> Sequence[Node]:
        return cloud.nodes.with_labels(scope)

    usages = {
        usage.name.value.lower(): usage
        for usage in cloud.driver.pages(Action.LIST_USAGES, Usage, {"location": cloud.location})
    }

    def need(quota: str, cpus: int, sizes: Callable[[str], float | None]) -> Need | None:
        usage = usages.get(quota.lower())
        if usage is None:
            return None
        name = f"{usage.name.localized_value or quota} of {cloud.location}"
        return Need(name, usage.limit, usage.current_value, count * cpus, sizes)

    cores = need(metric, least, by_node)
    found = shortages([cores] if cores else [], own_nodes, MORE_QUOTA, fatal=fatal)
    if metric == SPOT_CORES:
        return found
    families: dict[str, int] = {}
    for size in cloud.sizes.values():
        families[size.family] = min(size.cpus, families.get(size.family, size.cpus))
    needs = [need(one, cpus, partial(_of_family, cloud, one)) for one, cpus in families.items()]
    known = [one for one in needs if one]
    short = shortages(known, own_nodes, MORE_QUOTA, fatal=fatal and len(known) == len(families))
    return found + (short if len(short) == len(families) else [])


def _of_family(cloud: Cloud, family: str, size: str) -> float | None:
    """How many cores of a family's quota a node of a size takes."""
    if size not in cloud.sizes:
        return None
    return cloud.sizes[size].cpus if cloud.sizes[size].family == family else 0.0


def _private(config: AzureConfig) -> Iterator[Problem]:
    require_subnet(config)
    yield from ()


def _places(config: AzureConfig, locations: Sequence[str], here: str) -> Iterator[Problem]:
    """A virtual network is in one region, and so is a subnet of it:
    https://learn.microsoft.com/en-us/azure/virtual-network/virtual-networks-faq"""
    for name in config.location:
        if name not in locations:
            what = f"provider.azure.location.{name}: {name} is not one of the locations in use"
            yield Problem(what, f"these are {', '.join(locations)}", exit_code=2)
    own = {name for name, one in config.location.items() if one.subnet}
    shared = [name for name in locations if name not in own]
    if config.subnet and here not in own and len(shared) > 1:
        what = f"provider.azure.subnet is in one location, and {' and '.join(shared)} have no other"
        yield Problem(what, f"set subnet under [provider.azure.location.{shared[-1]}]", exit_code=2)


def _zones(cloud: Cloud, zones: Sequence[str]) -> Iterator[Problem]:
    sold = {zone for size in cloud.sizes.values() for zone in size.zones}
    for zone in zones if cloud.sizes else ():
        if zone not in sold:
            what = f"zone {zone} of {cloud.location} has none of the sizes"
            remedy = f"those that have are {', '.join(sorted(sold)) or 'none: take zones out'}"
            yield Problem(what, remedy, fatal=not sold & set(zones), exit_code=2)


def _tags(tags: Mapping[str, str], ours: int) -> Iterator[Problem]:
    """https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/tag-resources"""
    if len(tags) > MAX_TAGS - ours:
        what = f"provider.azure.tags has {len(tags)} tags"
        yield Problem(what, f"Azure takes {MAX_TAGS - ours} besides ours", exit_code=2)
    for key, value in tags.items():
        if not 1 <= len(key) <= MAX_TAG_KEY or set(key) & FORBIDDEN or len(value) > MAX_TAG_VALUE:
            what = f"provider.azure.tags: Azure does not take {key[:80]!r} = {value[:80]!r}"
            remedy = f"leave out <>%&\\?/; a name has {MAX_TAG_KEY} characters, a value "
            yield Problem(what, f"{remedy}{MAX_TAG_VALUE} at most", exit_code=2)


def _sizes(cloud: Cloud, names: Sequence[str]) -> Iterator[Problem]:
    if not cloud.sizes:
        what = f"Azure does not sell {' or '.join(names)} to this subscription in {cloud.location}"
        remedy = "check provider.azure.sizes with 'az vm list-skus', and the location with "
        remedy = did_you_mean(names[0], cloud.size_names, f"{remedy}'az account list-locations'")
        yield Problem(what, remedy, exit_code=2)
        return
    for name in names:
        size = cloud.sizes.get(name)
        if size is None:
            what = f"Azure does not sell {name} to this subscription in {cloud.location}"
            remedy = did_you_mean(name, cloud.size_names, "check provider.azure.sizes")
            yield Problem(what, remedy, fatal=False, exit_code=2)
        elif not size.spot:
            yield Problem(f"{name} cannot be had as Spot", "choose another size", fatal=False)
    for size in cloud.sizes.values():
        cloud.images.reference(size)
