"""The half-minute notice that a Spot machine can read on itself.

https://learn.microsoft.com/en-us/azure/virtual-machines/linux/scheduled-events
"""

from __future__ import annotations

import json
from typing import Final

from spotdeploy.model import Fate, FateKind

METADATA: Final = "http://169.254.169.254/metadata/scheduledevents?api-version=2020-07-01"
PREEMPT: Final = "Preempt"


def command() -> list[str]:
    """A command for the node that prints its scheduled events when Azure takes it back, or
    nothing. Asking for the first time turns the service on, which takes up to two minutes."""
    ask = f"curl -sfm5 -H Metadata:true --noproxy '*' '{METADATA}'"
    return ["sh", "-c", f"{ask} | grep {PREEMPT} || exit 0"]


def announced(output: str) -> Fate | None:
    """What the command's output says: the fate that was announced, or None."""
    try:
        events = json.loads(output)["Events"]
        event = next(one for one in events if one["EventType"] == PREEMPT)
        when = event["NotBefore"] or "any moment"
    except (ValueError, KeyError, TypeError, StopIteration):
        return None
    return Fate(FateKind.INTERRUPTED, f"Azure is evicting it, not before {when}")
