"""Holding each call and each answer to what Microsoft publishes."""

from __future__ import annotations

from tests.labs.azure.call import Call, Json, Reply
from tests.labs.azure.deploying import wrong_with
from tests.labs.azure.published import operations, violations
from tests.labs.azure.template import Scope

COMPUTE, NETWORK = "azure.mgmt.compute", "azure.mgmt.network"
RESOURCES, DEPLOYMENTS = "azure.mgmt.resource.resources", "azure.mgmt.resource.deployments"
_GROUP = "/subscriptions/{}/resourcegroups/{}"
_VMS = f"{_GROUP}/providers/microsoft.compute/virtualmachines"
_DEPLOYMENT = f"{_GROUP}/providers/microsoft.resources/deployments/{{}}"
_COMPUTE = "/subscriptions/{}/providers/microsoft.compute"

_SECURITY_GROUP = f"{_GROUP}/providers/microsoft.network/networksecuritygroups/{{}}"

BODIES = {
    f"PUT {_SECURITY_GROUP}": f"{NETWORK}:NetworkSecurityGroup",
    f"PUT {_GROUP}": f"{RESOURCES}:ResourceGroup",
    f"PUT {_DEPLOYMENT}": f"{DEPLOYMENTS}:Deployment",
}
ANSWERS = {
    f"PUT {_SECURITY_GROUP}": f"{NETWORK}:NetworkSecurityGroup",
    f"GET {_SECURITY_GROUP}": f"{NETWORK}:NetworkSecurityGroup",
    f"PUT {_GROUP}": f"{RESOURCES}:ResourceGroup",
    f"GET {_GROUP}": f"{RESOURCES}:ResourceGroup",
    f"PUT {_DEPLOYMENT}": f"{DEPLOYMENTS}:DeploymentExtended",
    f"GET {_DEPLOYMENT}": f"{DEPLOYMENTS}:DeploymentExtended",
    f"GET {_VMS}/{{}}": f"{COMPUTE}:VirtualMachine",
    f"POST {_VMS}/{{}}/retrievebootdiagnosticsdata": (
        f"{COMPUTE}:RetrieveBootDiagnosticsDataResult"
    ),
    "GET /subscriptions/{}/providers/{}": f"{RESOURCES}:Provider",
}
ITEMS = {
    "GET /subscriptions/{}/resourcegroups": f"{RESOURCES}:ResourceGroup",
    f"GET {_VMS}": f"{COMPUTE}:VirtualMachine",
    f"GET {_COMPUTE}/virtualmachines": f"{COMPUTE}:VirtualMachine",
    f"GET {_GROUP}/providers/microsoft.network/networkinterfaces": f"{NETWORK}:NetworkInterface",
    f"GET {_GROUP}/providers/microsoft.network/publicipaddresses": f"{NETWORK}:PublicIPAddress",
    f"GET {_COMPUTE}/skus": f"{COMPUTE}:ResourceSku",
    f"GET {_COMPUTE}/locations/{{}}/usages": f"{COMPUTE}:Usage",
}
POLLED = (
    "GET /subscriptions/{}/operationresults/{}",
    f"GET {_COMPUTE}/locations/{{}}/operations/{{}}",
    f"GET {_DEPLOYMENT}/operationstatuses/{{}}",
)
"""Only the headers of other answers name these."""
PAGING = frozenset({"$skiptoken"})
EVERYWHERE = frozenset({"2021-07-01", "2022-09-01", "2023-11-01", "2024-03-01"})
"""Versions that Azure's clouds all have. What is sent and answered is held to the newest models,
which have all that these have."""
ELSEWHERE = {
    "GET /subscriptions/{}": "2022-12-01",
    "GET /subscriptions/{}/providers/microsoft.authorization/permissions": "2022-04-01",
    "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values": "2015-04-01",
}
"""Operations of client libraries that are not at hand, with their versions."""


def wrong_in_call(call: Call, subscription: str) -> list[str]:
    """What in a call is not as published."""
    verb, _, path = call.operation.partition(" ")
    version = call.query.get("api-version")
    published = operations().get((verb, path))
    wrong: list[str] = []
    if published is None and call.operation in POLLED:
        return wrong
    if published is None:
        if ELSEWHERE.get(call.operation) != version:
            wrong.append(f"{call.operation}: no such operation in version {version}")
    else:
        if version not in EVERYWHERE | {published.version}:
            wrong.append(f"{call.operation}: version {version} is not one of all clouds")
        unknown = call.query.keys() - published.query - PAGING
        wrong += [f"{call.operation}: no such query parameter: {one}" for one in sorted(unknown)]
    model = BODIES.get(call.operation)
    if model is None:
        return wrong + ([f"{call.operation}: takes no body"] if call.body is not None else [])
    wrong += violations(model, call.body, request=True)
    if call.operation.endswith("/deployments/{}") and not wrong:
        wrong += _wrong_in_template(call, subscription)
    return wrong


def wrong_in_answer(call: Call, reply: Reply) -> list[str]:
    """What in an answer is not as published. Errors are in `{"error": {"code", "message"}}`."""
    if not reply.body:
        return []
    body = reply.json
    if reply.status >= 400:
        return [] if {"code", "message"} <= body["error"].keys() else [f"{body} is no error"]
    if call.operation in ANSWERS:
        return violations(ANSWERS[call.operation], body, request=False)
    if call.operation in ITEMS:
        if not isinstance(body.get("value"), list):
            return [f"{call.operation}: the answer has no list 'value'"]
        items: list[Json] = body["value"]
        model = ITEMS[call.operation]
        return [one for item in items for one in violations(model, item, request=False)]
    return []


def _wrong_in_template(call: Call, subscription: str) -> list[str]:
    properties = call.body["properties"]
    scope = Scope(subscription, call.names["1"], {})
    return wrong_with(properties["template"], properties.get("parameters", {}), scope)
