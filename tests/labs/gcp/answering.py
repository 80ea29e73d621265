"""What the cloud answers to each method, and what the method does to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.labs.gcp import catalogue, filters
from tests.labs.gcp.call import Call, GoogleError, Json, missing
from tests.labs.gcp.inserting import insert
from tests.labs.gcp.resources import disk_resource, instance_resource
from tests.labs.gcp.state import Instance, stamp

if TYPE_CHECKING:
    from tests.labs.gcp.cloud import Cloud

SLICE = 0.01
"""Seconds between two looks at an operation that is waited for."""


def project(cloud: Cloud, call: Call) -> Json:
    return catalogue.project_resource(cloud.project, cloud.metadata)


def bulk_insert(cloud: Cloud, call: Call) -> Json:
    return cloud.shown(insert(cloud, call))


def region(cloud: Cloud, call: Call) -> Json:
    return resource_named(catalogue.regions(cloud.project), call, "regions", "region")


def regions(cloud: Cloud, call: Call) -> Json:
    found = list(catalogue.regions(cloud.project).values())
    return listed(cloud, call, found, "compute#regionList")


def network(cloud: Cloud, call: Call) -> Json:
    where = call.name("project")
    known = {
        name: {
            "kind": "compute#network",
            "id": "77",
            "name": name,
            "autoCreateSubnetworks": one.automatic,
            "subnetworks": [f"{catalogue.ROOT}/{path}" for path in one.paths(project, name)],
            "selfLink": f"{catalogue.ROOT}/projects/{project}/global/networks/{name}",
        }
        for (project, name), one in cloud.networks.items()
        if project == where
    }
    return resource_named(known, call, "global/networks", "network")


def image(cloud: Cloud, call: Call) -> Json:
    return resource_named(catalogue.images(call.name("project")), call, "global/images", "image")


def resource_named(known: dict[str, Json], call: Call, folder: str, placeholder: str) -> Json:
    name = call.name(placeholder)
    if name not in known:
        raise missing(f"projects/{call.name('project')}/{folder}/{name}")
    return known[name]


def images(cloud: Cloud, call: Call) -> Json:
    found = list(catalogue.images(call.name("project")).values())
    return listed(cloud, call, found, "compute#imageList")


def machine_types(cloud: Cloud, call: Call) -> Json:
    found = [(one["zone"], one) for one in catalogue.machine_types(cloud.project)]
    return aggregated(cloud, call, found, "machineTypes", "compute#machineTypeAggregatedList")


def instances(cloud: Cloud, call: Call) -> Json:
    found = [
        (one.zone, instance_resource(one, cloud.project, cloud.now))
        for one in cloud.living()
        if cloud.shows(one.made_at)
    ]
    return aggregated(cloud, call, found, "instances", "compute#instanceAggregatedList")


def instance(cloud: Cloud, call: Call) -> Json:
    return instance_resource(living(cloud, call), cloud.project, cloud.now)


def living(cloud: Cloud, call: Call) -> Instance:
    zone, name = call.name("zone"), call.name("instance")
    one = cloud.instances.get((zone, name))
    if one is None or not one.exists(cloud.now):
        raise missing(f"projects/{cloud.project}/zones/{zone}/instances/{name}")
    return one


def delete_instance(cloud: Cloud, call: Call) -> Json:
    one = living(cloud, call)
    if one.name in cloud.faults.protected:
        raise GoogleError(
            400,
            "invalidResourceUsage",
            "Invalid resource usage: 'Resource cannot be deleted if it's protected against "
            "deletion.'.",
        )
    if not one.ended or not one.delete:
        cloud.end(one)
    where = cloud.instance_path(one), f"zones/{one.zone}"
    return cloud.started(call, "delete", *where, target_number=one.number)


def serial(cloud: Cloud, call: Call) -> Json:
    one = living(cloud, call)
    contents = cloud.console(one.name)
    path = f"{catalogue.ROOT}/{cloud.instance_path(one)}/serialPort"
    return {
        "kind": "compute#serialPortOutput",
        "contents": contents,
        "start": "0",
        "next": str(len(contents)),
        "selfLink": path,
    }


def disks(cloud: Cloud, call: Call) -> Json:
    living = {(one.zone, one.name) for one in cloud.living()}
    found = [
        (zone, disk_resource(disk, cloud.project, attached=(zone, name) in living))
        for (zone, name), disk in cloud.disks.items()
        if cloud.shows(disk["made_at"])
    ]
    return aggregated(cloud, call, found, "disks", "compute#diskAggregatedList")


def delete_disk(cloud: Cloud, call: Call) -> Json:
    zone, name = call.name("zone"), call.name("disk")
    path = f"projects/{cloud.project}/zones/{zone}/disks/{name}"
    attached = {(one.zone, one.name) for one in cloud.living()}
    if (zone, name) not in cloud.disks:
        raise missing(path)
    if (zone, name) in attached:
        words = f"The disk resource '{path}' is already being used"
        raise GoogleError(400, "resourceInUseByAnotherResource", words)
    del cloud.disks[zone, name]
    return cloud.started(call, "delete", path, f"zones/{zone}")


def insert_firewall(cloud: Cloud, call: Call) -> Json:
    """https://cloud.google.com/firewall/docs/firewalls: names are unique in a project."""
    earlier = cloud.requests.get(call.query.get("requestId", ""))
    if earlier is not None:
        return cloud.shown(earlier)
    name, host = call.body["name"], call.name("project")
    path = f"projects/{host}/global/firewalls/{name}"
    if not call.body["network"].startswith(f"projects/{host}/"):
        words = "Cross project referencing is not allowed for this resource."
        raise GoogleError(400, "invalid", f"Invalid value for field 'resource.network': {words}")
    if name in cloud.firewalls:
        raise GoogleError(409, "alreadyExists", f"The resource '{path}' already exists")
    if not cloud.faults.operations.get(call.method):
        cloud.rules_made_at[name] = cloud.now
        cloud.firewalls[name] = {
            **call.body,
            "kind": "compute#firewall",
            "id": str(cloud.number()),
            "creationTimestamp": stamp(cloud.now),
            "selfLink": f"{catalogue.ROOT}/{path}",
        }
    return cloud.started(call, "insert", path, "global")


def list_firewalls(cloud: Cloud, call: Call) -> Json:
    made = cloud.rules_made_at
    found = [one for one in firewalls_of(cloud, call) if cloud.shows(made.get(one["name"], 0.0))]
    return listed(cloud, call, found, "compute#firewallList")


def firewalls_of(cloud: Cloud, call: Call) -> list[Json]:
    """Those of the project that is asked for."""
    start = f"{catalogue.ROOT}/projects/{call.name('project')}/"
    return [one for one in cloud.firewalls.values() if one.get("selfLink", start).startswith(start)]


def firewall(cloud: Cloud, call: Call) -> Json:
    """The one of that name, or of that number: the pattern in the discovery document."""
    named = call.name("firewall")
    found = [one for one in firewalls_of(cloud, call) if named in (one["name"], one.get("id"))]
    if not found:
        raise missing(f"projects/{call.name('project')}/global/firewalls/{named}")
    return found[0]


def patch_firewall(cloud: Cloud, call: Call) -> Json:
    """What the body has takes the place of what the rule had:
    https://cloud.google.com/compute/docs/reference/rest/v1/firewalls/patch"""
    rule = firewall(cloud, call)
    path = f"projects/{call.name('project')}/global/firewalls/{rule['name']}"
    if not cloud.faults.operations.get(call.method):
        rule.update(call.body)
    return cloud.started(call, "patch", path, "global")


def delete_firewall(cloud: Cloud, call: Call) -> Json:
    name = firewall(cloud, call)["name"]
    path = f"projects/{call.name('project')}/global/firewalls/{name}"
    del cloud.firewalls[name]
    cloud.requests = {k: v for k, v in cloud.requests.items() if v.target != path}
    return cloud.started(call, "delete", path, "global")


def list_operations(cloud: Cloud, call: Call) -> Json:
    scope = f"zones/{call.name('zone')}"
    found = [one for one in cloud.operations.values() if one.scope == scope]
    if call.query.get("orderBy") == "creationTimestamp desc":
        found.reverse()
    shown = [cloud.shown(one) for one in found]
    return listed(cloud, call, shown, "compute#operationList")


def wait(cloud: Cloud, call: Call) -> Json:
    """Waits until the operation is done, outside of the lock."""
    one = cloud.operations.get(call.name("operation"))
    if one is None:
        raise missing(f"projects/{cloud.project}/operations/{call.name('operation')}")
    waiter = threading.Event()
    deadline = cloud.now + cloud.timing.longest_wait
    while one.status(cloud.now) != "DONE" and cloud.now < deadline:
        cloud.lock.release()
        try:
            waiter.wait(SLICE)
        finally:
            cloud.lock.acquire()
    return cloud.shown(one)


def listed(cloud: Cloud, call: Call, found: Sequence[Json], kind: str) -> Json:
    chosen = filters.chosen(found, call.query.get("filter", ""))
    items, token = paged(cloud, call, chosen)
    where = f"{catalogue.ROOT}/projects/{cloud.project}/{call.method}"
    return {"kind": kind, "id": call.method, "items": items, "selfLink": where, **token}


def aggregated(
    cloud: Cloud, call: Call, found: Sequence[tuple[str, Json]], noun: str, kind: str
) -> Json:
    """Every zone is there; one without items has a warning instead. One that cannot be asked
    has another when partial success will do; else it fails the whole listing."""
    silent = cloud.faults.unreachable
    if silent and not call.takes_parts:
        words = f"{', '.join(sorted(silent))} cannot be reached."
        raise GoogleError(503, "backendError", words)
    test = filters.compiled(call.query.get("filter", ""))
    chosen = [(zone, one) for zone, one in found if test(one)]
    page, token = paged(cloud, call, chosen)
    items: Json = {}
    for zone in (zone for zones in catalogue.ZONES.values() for zone in zones):
        here = [one for of, one in page if of == zone]
        scope = f"zones/{zone}"
        items[scope] = {noun: here} if here else _warning("NO_RESULTS_ON_PAGE", scope)
        if zone in silent:
            items[scope] = _warning("UNREACHABLE", scope)
    where = f"{catalogue.ROOT}/projects/{cloud.project}/aggregated/{noun}"
    unreachables = (
        {"unreachables": [_scope(cloud, one) for one in sorted(silent)]} if silent else {}
    )
    return {
        "kind": kind,
        "id": where,
        "items": items,
        "selfLink": where,
        **unreachables,
        **token,
    }


def _scope(cloud: Cloud, silent: str) -> str:
    return silent if "/" in silent else f"projects/{cloud.project}/zones/{silent}"


def paged(cloud: Cloud, call: Call, found: Sequence[Any]) -> tuple[list[Any], Json]:
    size = min(int(call.query.get("maxResults", "500")), cloud.page)
    start = int(call.query.get("pageToken", "0"))
    token = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    return list(found[start : start + size]), token


def _warning(code: str, scope: str) -> Json:
    words = {
        "NO_RESULTS_ON_PAGE": f"There are no results for scope '{scope}' on this page.",
        "UNREACHABLE": f"The scope '{scope}' cannot be reached.",
    }
    data = [{"key": "scope", "value": scope}]
    return {"warning": {"code": code, "message": words[code], "data": data}}


BEHAVIOURS: dict[str, Callable[[Cloud, Call], Json]] = {
    "compute.projects.get": project,
    "compute.regions.get": region,
    "compute.regions.list": regions,
    "compute.networks.get": network,
    "compute.images.get": image,
    "compute.images.list": images,
    "compute.machineTypes.aggregatedList": machine_types,
    "compute.instances.bulkInsert": bulk_insert,
    "compute.instances.aggregatedList": instances,
    "compute.instances.get": instance,
    "compute.instances.delete": delete_instance,
    "compute.instances.getSerialPortOutput": serial,
    "compute.disks.aggregatedList": disks,
    "compute.disks.delete": delete_disk,
    "compute.firewalls.insert": insert_firewall,
    "compute.firewalls.get": firewall,
    "compute.firewalls.list": list_firewalls,
    "compute.firewalls.patch": patch_firewall,
    "compute.firewalls.delete": delete_firewall,
    "compute.zoneOperations.wait": wait,
    "compute.globalOperations.wait": wait,
    "compute.zoneOperations.list": list_operations,
}
