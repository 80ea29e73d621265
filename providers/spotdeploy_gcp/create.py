"""Making a batch of instances with one call."""

from __future__ import annotations

from collections.abc import Sequence

from spotdeploy import labels as label_names
from spotdeploy.errors import CapacityError, ProviderError, ThrottledError
from spotdeploy.model import Batch, Created, Node, NodeState, Offer
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.cloud import Cloud
from spotdeploy_gcp.config import GcpConfig
from spotdeploy_gcp.errors import EXISTS, failed, is_missing_image, message_of
from spotdeploy_gcp.offers import migrates
from spotdeploy_gcp.request import MAX_PER_CALL, Site, bulk_insert, check, names, request_id
from spotdeploy_gcp.schemas import Operation, OperationError


def create_batch(cloud: Cloud, config: GcpConfig, offer: Offer, batch: Batch) -> Created:
    """Make the batch, and wait until Google says how many it made. The same token again gives the
    same instances.

    Raises what `Provider.create` names, and ConfigError for what Google does not take.
    """
    check(batch)
    try:
        return _create(cloud, config, offer, batch)
    except ProviderError as error:
        if not is_missing_image(error):
            raise
        cloud.images.forget(cloud.sizes.architecture(offer.size))
        return _create(cloud, config, offer, batch)


def _create(cloud: Cloud, config: GcpConfig, offer: Offer, batch: Batch) -> Created:
    zone = offer.zone or cloud.zones[0]
    done = _insert(cloud, config, offer, batch, zone, cloud.firewall.tags(batch))
    nodes = _made(cloud, zone, batch, done)
    if len(nodes) == batch.count:
        return Created(nodes)
    reasons = _reasons(cloud, zone, done)
    if not nodes:
        raise _not_worth_repeating(failed(reasons, f"{Action.BULK_INSERT.id} in {zone}"))
    short = f"Compute Engine made {len(nodes)} of {batch.count} in {zone}"
    return Created(nodes, message_of(reasons) or short)


def _not_worth_repeating(error: ProviderError) -> ProviderError:
    """A bulk insert that failed stays failed: asking again under its token would only give the
    same answer, but another place may do better."""
    if isinstance(error, ThrottledError):
        return CapacityError(error.message, code=error.code, hint=error.hint)
    return error


def _insert(
    cloud: Cloud, config: GcpConfig, offer: Offer, batch: Batch, zone: str, tags: tuple[str, ...]
) -> list[Operation]:
    """The operations of the batch, done. None for what exists already."""
    driver = cloud.driver
    size = cloud.sizes.of(offer.size)
    image = cloud.images.for_architecture(size.processor).self_link
    site = Site(driver.project, cloud.region, image, tags, migrates=migrates(size))
    every = names(batch)
    started = []
    for number, start in enumerate(range(0, len(every), MAX_PER_CALL)):
        body = bulk_insert(offer, batch, every[start : start + MAX_PER_CALL], site, config)
        query = {"requestId": request_id(driver.project, zone, batch.token, str(number), image)}
        try:
            started.append(
                driver.call(
                    Action.BULK_INSERT,
                    Operation,
                    {"zone": zone},
                    body=body,
                    query=query,
                    repeatable=False,
                )
            )
        except ProviderError as error:
            if error.code not in EXISTS and not started:
                raise
    return [driver.finish(operation, {"zone": zone}) for operation in started]


def _made(cloud: Cloud, zone: str, batch: Batch, done: Sequence[Operation]) -> tuple[Node, ...]:
    """The batch's nodes: those listed, and those that the listing still lacks."""
    labels = {label_names.BATCH: batch.labels[label_names.BATCH]}
    expected = set(names(batch))
    found = {node.name: node for node in cloud.nodes.with_labels(labels) if node.zone == zone}
    for name in sorted(expected - found.keys()) if len(found) < _counted(done, batch) else ():
        node = cloud.nodes.node(zone, name)
        if node is not None:
            found[name] = node
    return tuple(
        node
        for name, node in sorted(found.items())
        if name in expected and node.state not in (NodeState.GOING, NodeState.GONE)
    )


def _counted(done: Sequence[Operation], batch: Batch) -> int:
    """How many instances the operations say they made."""
    if not done:
        return batch.count
    return sum(
        status.created_vm_count
        for one in done
        if one.instances_bulk_insert_operation_metadata
        for status in one.instances_bulk_insert_operation_metadata.per_location_status.values()
    )


def _reasons(cloud: Cloud, zone: str, done: Sequence[Operation]) -> list[OperationError]:
    """Why instances are missing: the bulk operations' own errors, and those of the inserts that
    they consist of."""
    reasons = [error for one in done for error in one.errors]
    for group in (one.operation_group_id for one in done if one.operation_group_id):
        query = {"filter": f'operationGroupId = "{group}"'}
        at = {"zone": zone}
        parts = cloud.driver.pages(Action.LIST_OPERATIONS, Operation, query, at)
        reasons += [error for one in parts for error in one.errors]
    return list({(one.code, one.message): one for one in reasons}.values())
