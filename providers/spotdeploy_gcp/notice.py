"""The notice of preemption that a spot instance can read on itself, half a minute before.

https://cloud.google.com/compute/docs/instances/create-use-spot#detect-preemption
"""

from __future__ import annotations

from typing import Final

from spotdeploy.model import Fate, FateKind

METADATA: Final = "http://169.254.169.254/computeMetadata/v1"


def command() -> list[str]:
    """A command for the node that prints TRUE when it is being preempted, or nothing."""
    ask = f"curl -sfm2 -H 'Metadata-Flavor: Google' {METADATA}/instance/preempted"
    return ["sh", "-c", f'[ "$({ask})" != TRUE ] || echo TRUE']


def announced(output: str) -> Fate | None:
    """What the command's output says: the fate that was announced, or None."""
    if output.strip() != "TRUE":
        return None
    return Fate(FateKind.INTERRUPTED, "Google is preempting it")
