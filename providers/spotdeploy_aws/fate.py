"""What became of an instance, from what AWS says about it."""

from __future__ import annotations

from typing import Any, Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Fate, FateKind, Node
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import Ec2Driver
from spotdeploy_aws.errors import MISSING
from spotdeploy_aws.query import filters, items, text

INTERRUPTED_REASONS: Final = frozenset(
    {"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"}
)
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html"""
INTERRUPTED_STATUSES: Final = (
    "marked-for-",
    "instance-terminated-by-price",
    "instance-terminated-by-schedule",
    "instance-terminated-by-service",
    "instance-terminated-capacity",
    "instance-terminated-no-capacity",
    "instance-terminated-launch-group",
    "instance-stopped-by-price",
    "instance-stopped-capacity",
    "instance-stopped-no-capacity",
)
"""Beginnings of https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html:
those by which AWS, and not the user, ends an instance."""


def fate(driver: Ec2Driver, node: Node) -> Fate:
    """Ask for the instance, then for its spot request. Two calls; may be repeated."""
    instance = _instance(driver, node.id)
    if instance is None:
        return Fate(FateKind.VANISHED, f"AWS no longer knows {node.id}")
    state, reason = instance.extra["status"], instance.extra["reason_code"]
    words = instance.extra["reason_words"] or reason or state
    if reason in INTERRUPTED_REASONS:
        return Fate(FateKind.INTERRUPTED, words)
    request = _spot_request(driver, node.id)
    if request.startswith(INTERRUPTED_STATUSES):
        return Fate(FateKind.INTERRUPTED, request)
    if state in ("pending", "running"):
        return Fate(FateKind.ALIVE, state)
    return Fate(FateKind.STOPPED, f"{state}: {words}")


def _instance(driver: Ec2Driver, id_: str) -> Any:
    try:
        found = driver.list_nodes(ex_node_ids=[id_])
    except ProviderError as error:
        if error.code in MISSING:
            return None
        raise
    return found[0] if found else None


def _spot_request(driver: Ec2Driver, id_: str) -> str:
    """The status code of an instance's spot request; "" when there is none."""
    answer = driver.call(
        Action.DESCRIBE_SPOT_INSTANCE_REQUESTS, {"Filter": filters({"instance-id": [id_]})}
    )
    found = items(answer, "spotInstanceRequestSet")
    return text(found[0], "status/code") if found else ""
