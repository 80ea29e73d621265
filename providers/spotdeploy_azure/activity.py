"""What the subscription's activity log says, which is some minutes late.

https://learn.microsoft.com/en-us/rest/api/monitor/activity-logs/list
"""

from __future__ import annotations

import time
from typing import Final

from spotdeploy_azure.actions import Action
from spotdeploy_azure.cloud import Cloud
from spotdeploy_azure.schemas import Event

LOG_SECONDS: Final = 86400.0


def events(cloud: Cloud, about: str) -> list[Event]:
    """The events of the last day, newest first. `about` is one of the patterns that the log takes,
    such as "resourceUri eq '...'". Raises ProviderError when the log cannot be read."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - LOG_SECONDS))
    query = {"$filter": f"eventTimestamp ge '{since}' and {about}"}
    found = cloud.driver.pages(Action.LIST_EVENTS, Event, query=query)
    return sorted(found, key=lambda event: event.event_timestamp, reverse=True)


def told_by(event: Event) -> str:
    """What happened, through whom and when, in a line."""
    who = f" by {event.caller}" if event.caller else ""
    return f"{event.operation_name.value}{who} at {event.event_timestamp}"
