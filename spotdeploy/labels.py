"""The labels on everything we create: one spelling, valid on every cloud.

Keys and values keep to lower case letters, digits, `-` and `_`, at most 63 characters: the
narrowest rule among the clouds (https://cloud.google.com/compute/docs/labeling-resources).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spotdeploy.model import DEFAULT_GROUP

DEPLOYMENT: Final = "spotdeploy-deployment"
RUN: Final = "spotdeploy-run"
BATCH: Final = "spotdeploy-batch"
DIGEST: Final = "spotdeploy-digest"
EXPIRES: Final = "spotdeploy-expires"
GROUP: Final = "spotdeploy-group"
CLAIM: Final = "spotdeploy-claim"
"""On a claim only: who holds it."""

ANY: Final = "*"
"""In place of a value, in a listing: whatever has the label. No label's own value looks so."""
DIGEST_LENGTH: Final = 32
VALID: Final = re.compile(r"[a-z0-9_-]{0,63}")


def scope(deployment: str) -> dict[str, str]:
    """The labels that select everything of one deployment."""
    return {DEPLOYMENT: deployment}


def anyones() -> dict[str, str]:
    """The labels that select everything of ours, whoever's deployment it is."""
    return {DEPLOYMENT: ANY}


def for_batch(
    deployment: str,
    run: str,
    token: str,
    digest: str,
    expires_at: float,
    group: str = DEFAULT_GROUP,
) -> dict[str, str]:
    """The labels of one create call. `expires_at` is Unix time in seconds."""
    return {
        DEPLOYMENT: deployment,
        GROUP: group,
        RUN: run,
        BATCH: token,
        DIGEST: digest[:DIGEST_LENGTH],
        EXPIRES: str(int(expires_at)),
    }


def for_claim(
    deployment: str, run: str, home: str, command: str, host: str, expires_at: float
) -> dict[str, str]:
    """The labels of a claim. `home` is the id of this computer's state folder; `expires_at` is Unix
    time in seconds."""
    machine = re.sub(r"[^a-z0-9-]+", "-", host.lower()).strip("-")
    return {
        DEPLOYMENT: deployment,
        RUN: run,
        EXPIRES: str(int(expires_at)),
        CLAIM: f"{home}_{command}_{machine}"[:63],
    }


def claimed_by(labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Who holds a claim: the home's id, the command, the host. Each empty when it is not said."""
    home, command, host = (*labels.get(CLAIM, "").split("_", 2), "", "")[:3]
    return home, command, host


def group_of(labels: Mapping[str, str]) -> str:
    """The group of a node."""
    return labels.get(GROUP, DEFAULT_GROUP)


def expires_at(labels: Mapping[str, str]) -> float | None:
    """When the labelled thing's time to live ends (Unix seconds), or None if it does not say."""
    value = labels.get(EXPIRES, "")
    return float(value) if value.isdigit() else None


def matches(labels: Mapping[str, str], required: Mapping[str, str]) -> bool:
    """True when every required label is there, `ANY` with any value. An empty `required` matches
    nothing: a listing without a scope would name machines that are not ours."""
    return bool(required) and all(
        key in labels and value in (ANY, labels[key]) for key, value in required.items()
    )
