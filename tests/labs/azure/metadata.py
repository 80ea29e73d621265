"""The instance metadata service, as seen from inside a machine.

https://learn.microsoft.com/en-us/azure/virtual-machines/linux/scheduled-events
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.labs.azure.call import Json
from tests.labs.azure.state import Machine
from tests.labs.metadata import MetadataRequest, MetadataResponse

EVENTS = "/metadata/scheduledevents"
COMPUTE = "/metadata/instance/compute"
JSON = {"Content-Type": "application/json; charset=utf-8"}
WhoIs = Callable[[str], Machine | None]
"""The machine at an address."""


class Metadata:
    """Answers each machine about itself, and only to those who send `Metadata: true`."""

    def __init__(self, who_is: WhoIs) -> None:
        self._who_is = who_is

    def answer(self, request: MetadataRequest) -> MetadataResponse | None:
        """See `tests.labs.metadata.MetadataService`."""
        machine = self._who_is(request.address)
        if machine is None:
            return None
        url = urlsplit(request.path)
        if request.headers.get("metadata") != "true" or "api-version=" not in url.query:
            return _said(400, {"error": "Bad request. Required metadata header not specified"})
        if request.verb == "GET" and url.path == EVENTS:
            return _said(200, events(machine))
        if request.verb == "GET" and url.path == COMPUTE:
            where = {"location": machine.body["location"], "vmSize": machine.size}
            return _said(200, {"name": machine.name, "priority": machine.market, **where})
        return _said(404, {"error": "not found"})


def events(machine: Machine) -> Json:
    """The scheduled events of a machine."""
    if not machine.noticed:
        return {"DocumentIncarnation": 1, "Events": []}
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    event = {
        "EventId": "A123BC45-1234-5678-AB90-ABCDEF123456",
        "EventStatus": "Scheduled",
        "EventType": "Preempt",
        "ResourceType": "VirtualMachine",
        "Resources": [machine.name],
        "NotBefore": when,
        "EventSource": "Platform",
    }
    return {"DocumentIncarnation": 2, "Events": [event]}


def _said(status: int, content: Json) -> MetadataResponse:
    return MetadataResponse(status, json.dumps(content).encode(), JSON)
