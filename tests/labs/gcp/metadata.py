"""The metadata server, as seen from inside a machine.

https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

from __future__ import annotations

from collections.abc import Callable

from tests.labs.gcp.state import Instance
from tests.labs.metadata import MetadataRequest, MetadataResponse

PREFIX = "/computeMetadata/v1/instance/"
FLAVOR = {"Metadata-Flavor": "Google"}
WhoIs = Callable[[str], Instance | None]
"""The instance at an address."""


class Metadata:
    """Answers each machine about itself, and only to those who send Metadata-Flavor."""

    def __init__(self, who_is: WhoIs) -> None:
        self._who_is = who_is

    def answer(self, request: MetadataRequest) -> MetadataResponse | None:
        """See `tests.labs.metadata.MetadataService`."""
        instance = self._who_is(request.address)
        if instance is None:
            return None
        if request.headers.get("metadata-flavor") != "Google":
            return MetadataResponse(403, headers=FLAVOR)
        content = facts(instance).get(request.path.removeprefix(PREFIX))
        if request.verb != "GET" or content is None:
            return MetadataResponse(404, headers=FLAVOR)
        return MetadataResponse(200, content.encode(), FLAVOR)


def facts(instance: Instance) -> dict[str, str]:
    """Path to content, for one instance."""
    items = instance.properties.get("metadata", {}).get("items", [])
    return {
        "id": str(instance.number),
        "name": instance.name,
        "preempted": "TRUE" if instance.noticed else "FALSE",
        "zone": f"projects/4242424242/zones/{instance.zone}",
        **{f"attributes/{item['key']}": str(item["value"]) for item in items},
    }
