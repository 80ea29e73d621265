"""What became of an instance: its fate, its console, and the notice it reads on itself."""

from __future__ import annotations

import json
from typing import Final

from spotdeploy.errors import ProviderError
from spotdeploy.model import Fate, FateKind, Node
from spotdeploy.refusals import none_if_missing
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.errors import MISSING
from spotdeploy_aws.nodes import find
from spotdeploy_aws.parallel import together
from spotdeploy_aws.schemas import Record, filters, text

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
UNUSABLE_VOLUME: Final = ("Client.InternalError", "Client.InvalidKMSKey")
"""Beginnings of the reasons with which EC2 ends an instance at once whose encrypted volume it may
not use: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html"""
KMS: Final = (
    "so ends an instance whose volume is encrypted with a KMS key that may not be used: where "
    "volumes are encrypted by default, docs/providers/aws.md lists the kms rights"
)
METADATA: Final = "http://169.254.169.254/latest"


def fate(api: Api, node: Node) -> Fate:
    """Ask for the instance and for its spot request, at the same time. May be repeated."""
    (instance, request) = together([lambda: _instance(api, node.id), lambda: _request(api, node)])
    if instance is None:
        return Fate(FateKind.VANISHED, f"AWS no longer knows {node.id}")
    state, reason = text(instance, "State.Name"), text(instance, "StateReason.Code")
    message = text(instance, "StateReason.Message") or reason or state
    if reason in INTERRUPTED_REASONS:
        return Fate(FateKind.INTERRUPTED, message)
    status = text(request or {}, "Status.Code")
    if status.startswith(INTERRUPTED_STATUSES):
        return Fate(FateKind.INTERRUPTED, status)
    if state in ("pending", "running"):
        return Fate(FateKind.ALIVE, state)
    if reason.startswith(UNUSABLE_VOLUME):
        message = f"{message} ({KMS})"
    return Fate(FateKind.STOPPED, f"{state}: {message}")


def _instance(api: Api, id_: str) -> Record | None:
    found = none_if_missing(lambda: find(api, ids=[id_]), MISSING)
    return found[0] if found else None


def _request(api: Api, node: Node) -> Record | None:
    """Its spot request; None when there is none."""
    criteria = filters({"instance-id": [node.id]})
    found = api.pages(Action.DESCRIBE_SPOT_INSTANCE_REQUESTS, {"Filters": criteria})
    return found[0] if found else None


def console(api: Api, id_: str) -> str:
    """The console's text, at most 64 KB; empty when there is none or the instance is unknown.

    Nitro instances give the latest output, older ones what was posted after boot:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html
    """
    try:
        answer = api.call(Action.GET_CONSOLE_OUTPUT, {"InstanceId": id_, "Latest": True})
    except ProviderError as error:
        if error.code in MISSING:
            return ""
        if error.code != "UnsupportedOperation":
            raise
        answer = api.call(Action.GET_CONSOLE_OUTPUT, {"InstanceId": id_})
    return text(answer, "Output")


def notice_command() -> list[str]:
    """A command for the node that prints its two-minute interruption notice, or nothing:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """
    script = (
        f"token=$(curl -sfm2 -X PUT {METADATA}/api/token"
        " -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') || exit 0; "
        'curl -sfm2 -H "X-aws-ec2-metadata-token: $token"'
        f" {METADATA}/meta-data/spot/instance-action || exit 0"
    )
    return ["sh", "-c", script]


def parse_notice(output: str) -> Fate | None:
    """The fate that the command's output announces, or None.

    The service answers 404 until there is one, so the output is then empty.
    """
    try:
        announced = json.loads(output)
        return Fate(
            FateKind.INTERRUPTED, f"AWS will {announced['action']} it at {announced['time']}"
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
