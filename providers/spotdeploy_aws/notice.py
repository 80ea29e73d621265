"""The two-minute notice that a spot instance can read on itself.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import json
from typing import Final

from spotdeploy.model import Fate, FateKind

METADATA: Final = "http://169.254.169.254/latest"


def command() -> list[str]:
    """A command for the node that prints its interruption notice, or nothing."""
    script = (
        f"token=$(curl -sfm2 -X PUT {METADATA}/api/token"
        " -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') || exit 0; "
        'curl -sfm2 -H "X-aws-ec2-metadata-token: $token"'
        f" {METADATA}/meta-data/spot/instance-action || exit 0"
    )
    return ["sh", "-c", script]


def announced(output: str) -> Fate | None:
    """What the command's output says: the fate that was announced, or None.

    The service answers 404 until there is one, so the output is then empty.
    """
    try:
        said = json.loads(output)
        return Fate(FateKind.INTERRUPTED, f"AWS will {said['action']} it at {said['time']}")
    except (ValueError, KeyError, TypeError):
        return None
