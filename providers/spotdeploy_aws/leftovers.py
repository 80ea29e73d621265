"""What may be left when the instances are gone: groups, volumes, interfaces, spot requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from spotdeploy.errors import ProviderError
from spotdeploy.labels import matches
from spotdeploy.model import Resource
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import PAGE, Ec2Driver
from spotdeploy_aws.query import filters, tag_filters, tags, text


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how it is listed, and how it is deleted."""

    name: str
    listing: Action
    items: str
    id: str
    delete: Action
    parameter: str
    noun: str
    """As in `aws ec2 NOUN`."""
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """More filters: what is already on its way out is not listed."""
    detail: str = ""

    def delete_parameters(self, id_: str) -> dict[str, str | list[str]]:
        """The parameters of the deleting call."""
        plural = self.delete is Action.CANCEL_SPOT_INSTANCE_REQUESTS
        return {self.parameter: [id_] if plural else id_}


KINDS: Final = (
    Kind(
        "spot request", Action.DESCRIBE_SPOT_INSTANCE_REQUESTS, "spotInstanceRequestSet",
        "spotInstanceRequestId", Action.CANCEL_SPOT_INSTANCE_REQUESTS, "SpotInstanceRequestId",
        "cancel-spot-instance-requests --spot-instance-request-ids",
        {"state": ["open", "active", "disabled"]}, "status/code",
    ),
    Kind(
        "network interface", Action.DESCRIBE_NETWORK_INTERFACES, "networkInterfaceSet",
        "networkInterfaceId", Action.DELETE_NETWORK_INTERFACE, "NetworkInterfaceId",
        "delete-network-interface --network-interface-id", {}, "status",
    ),
    Kind(
        "volume", Action.DESCRIBE_VOLUMES, "volumeSet", "volumeId", Action.DELETE_VOLUME,
        "VolumeId", "delete-volume --volume-id",
        {"status": ["creating", "available", "in-use", "error"]}, "status",
    ),
    Kind(
        "security group", Action.DESCRIBE_SECURITY_GROUPS, "securityGroupInfo", "groupId",
        Action.DELETE_SECURITY_GROUP, "GroupId", "delete-security-group --group-id", {},
        "groupName",
    ),
)  # fmt: skip
"""In the order of deletion: a group cannot go while an interface uses it."""

IN_USE: Final = frozenset(
    {
        "DependencyViolation", "InvalidGroup.InUse", "InvalidNetworkInterface.InUse",
        "InvalidParameterValue", "OperationNotPermitted", "VolumeInUse",
    }
)  # fmt: skip
"""Still used by something that is going: left for the next try."""


def leftovers(driver: Ec2Driver, labels: Mapping[str, str]) -> list[Resource]:
    """Everything here that carries these labels and is not an instance. One listing a kind."""
    found = (thing for kind in KINDS for thing in _list(driver, kind, labels))
    return [thing for thing in found if matches(thing.labels, labels)]


def release(driver: Ec2Driver, resources: Sequence[Resource]) -> None:
    """Delete these, in an order that works. A missing one is success; one in use stays.

    Raises:
        ProviderError: what AWS said of the first one it refused for another reason; the others
            were tried.
    """
    refused: list[ProviderError] = []
    for kind in KINDS:
        for thing in resources:
            if thing.kind == kind.name:
                refused += _delete(driver, kind, thing.id)
    if refused:
        raise refused[0]


def manual_delete_command(thing: Resource) -> str:
    """The arguments of `aws ec2` that delete it."""
    noun = next((kind.noun for kind in KINDS if kind.name == thing.kind), f"# {thing.kind}")
    return f"{noun} {thing.id}"


def _list(driver: Ec2Driver, kind: Kind, labels: Mapping[str, str]) -> list[Resource]:
    wanted = filters({**tag_filters(labels), **kind.only})
    found = driver.pages(kind.listing, kind.items, {"Filter": wanted, "MaxResults": PAGE})
    return [
        Resource(
            kind=kind.name,
            id=text(item, kind.id),
            provider="aws",
            location=driver.region_name,
            labels=tags(item),
            detail=text(item, kind.detail),
        )
        for item in found
    ]


def _delete(driver: Ec2Driver, kind: Kind, id_: str) -> list[ProviderError]:
    try:
        driver.call(kind.delete, kind.delete_parameters(id_))
    except ProviderError as error:
        code = error.code or ""
        if code.endswith(".NotFound") or code in IN_USE:
            return []
        if type(error) is not ProviderError:
            raise
        return [error]
    return []
