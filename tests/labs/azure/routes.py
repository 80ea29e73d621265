"""From a URL's path to the operation that it names."""

from __future__ import annotations

import re
from functools import cache

PATHS = (
    "GET /subscriptions/{}",
    "GET /subscriptions/{}/providers/{}",
    "GET /subscriptions/{}/providers/microsoft.authorization/permissions",
    "GET /subscriptions/{}/providers/microsoft.compute/locations/{}/publishers/{}"
    "/artifacttypes/vmimage/offers",
    "GET /subscriptions/{}/providers/microsoft.compute/locations/{}/usages",
    "GET /subscriptions/{}/providers/microsoft.compute/skus",
    "GET /subscriptions/{}/providers/microsoft.compute/virtualmachines",
    "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values",
    "GET /subscriptions/{}/operationresults/{}",
    "GET /subscriptions/{}/providers/microsoft.compute/locations/{}/operations/{}",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.resources/deployments/{}"
    "/operationstatuses/{}",
    "GET /subscriptions/{}/resourcegroups",
    "DELETE /subscriptions/{}/resourcegroups/{}",
    "GET /subscriptions/{}/resourcegroups/{}",
    "PUT /subscriptions/{}/resourcegroups/{}",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.compute/virtualmachines",
    "DELETE /subscriptions/{}/resourcegroups/{}/providers/microsoft.compute/virtualmachines/{}",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.compute/virtualmachines/{}",
    "POST /subscriptions/{}/resourcegroups/{}/providers/microsoft.compute/virtualmachines/{}"
    "/retrievebootdiagnosticsdata",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.network/networkinterfaces",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.network/publicipaddresses",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.network/networksecuritygroups/{}",
    "PUT /subscriptions/{}/resourcegroups/{}/providers/microsoft.network/networksecuritygroups/{}",
    "GET /subscriptions/{}/resourcegroups/{}/providers/microsoft.resources/deployments/{}",
    "PUT /subscriptions/{}/resourcegroups/{}/providers/microsoft.resources/deployments/{}",
    "POST /subscriptions/{}/resourcegroups/{}/providers/microsoft.resources/deployments/{}/cancel",
)


def route(verb: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The operation, and what fills its placeholders, by their number from "0". Paths are not
    sensitive to case."""
    for operation, pattern in _patterns():
        named, _, _ = operation.partition(" ")
        found = pattern.fullmatch(path) if named == verb else None
        if found:
            return operation, {str(at): value for at, value in enumerate(found.groups())}
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [
        (
            one,
            re.compile(re.escape(one.partition(" ")[2]).replace(r"\{\}", "([^/]+)"), re.IGNORECASE),
        )
        for one in PATHS
    ]
