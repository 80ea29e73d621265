"""Ending instances, and removing what is left when they are gone.

One that cannot be ended never keeps the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy.labels import matches
from spotdeploy.model import Resource
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import PAGE, Api, tag_filters
from spotdeploy_aws.errors import MISSING
from spotdeploy_aws.network import MEMBERS
from spotdeploy_aws.nodes import find
from spotdeploy_aws.parallel import together
from spotdeploy_aws.schemas import Record, filters, tags, text
from spotdeploy_libcloud.errors import none_if_missing, raise_first

MAX_PER_CALL: Final = 1000
"""Instances in one call, as
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html advises."""
IN_USE: Final = frozenset(
    {
        "DependencyViolation",
        "InvalidGroup.InUse",
        "InvalidNetworkInterface.InUse",
        "InvalidParameterValue",
        "OperationNotPermitted",
        "VolumeInUse",
    }
)
"""Still used by something that is going: left for the next try."""


DENIED: Final = "UnauthorizedOperation"
"""A policy forbids it. One that asks for a tag also forbids it for what is gone, which has none."""
GONE: Final = ("shutting-down", "terminated")
Ended: TypeAlias = Callable[[Collection[str]], None]
"""Is told the ids of instances that EC2 ends."""


def destroy_nodes(api: Api, ids: Sequence[str], ended: Ended) -> None:
    """Begin to end these instances: one call, more only when AWS refuses some of them.

    TerminateInstances ends none of a call's instances when it does not know one of them, or may
    not end it. So those that AWS names in its refusal are left out and the others are asked for
    again; where it names none, each is asked for by itself. One that a policy forbids to end is
    looked up by its id: what is gone has no tags that a policy could allow.

    Raises:
        ProviderError: AWS's error for an instance that exists and cannot be ended. All the
            others were asked to end.
    """
    unique = list(dict.fromkeys(ids))
    groups = [unique[start : start + MAX_PER_CALL] for start in range(0, len(unique), MAX_PER_CALL)]
    raise_first([error for group in groups for error in _refusals(api, group, ended)])


def _refusals(api: Api, ids: list[str], ended: Ended) -> list[ProviderError]:
    refused: list[ProviderError] = []
    while ids:
        try:
            api.call(Action.TERMINATE_INSTANCES, {"InstanceIds": ids})
        except ProviderError as error:
            if not _of_one(error):
                raise
            blamed = _named(error, ids) if len(ids) > 1 else set(ids)
            if not blamed:
                return refused + [no for id_ in ids for no in _refusals(api, [id_], ended)]
            refused += [error] if any(_stands(api, error, id_) for id_ in blamed) else []
            ids = [id_ for id_ in ids if id_ not in blamed]
        else:
            ended(ids)
            return refused
    return refused


def _of_one(error: ProviderError) -> bool:
    """True for a refusal that may be about one thing of a call, and not about all calls."""
    return error.code == DENIED or not isinstance(error, CredentialsError | ThrottledError)


def _named(error: ProviderError, ids: Sequence[str]) -> set[str]:
    return set(re.findall(r"[\w-]+", error.message)) & set(ids)


def _stands(api: Api, error: ProviderError, id_: str) -> bool:
    """True when the instance exists and is not going, so that the refusal counts."""
    if error.code != DENIED:
        return error.code not in MISSING
    found = none_if_missing(lambda: find(api, ids=[id_]), MISSING) or []
    return any(text(one, "State.Name") not in GONE for one in found)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how it is listed, and how it is deleted."""

    name: str
    listing: Action
    id: str
    filter: str
    """The filter of the listing that selects by id."""
    delete: Action
    parameter: str
    noun: str
    """As in `aws ec2 NOUN`."""
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """More filters: what is already on its way out is not listed."""
    detail: str = ""

    def delete_parameters(self, id_: str) -> dict[str, str | list[str]]:
        """The parameters of the deleting call."""
        return {self.parameter: [id_] if self.parameter.endswith("s") else id_}


GROUPS: Final = Kind(
    "security group",
    Action.DESCRIBE_SECURITY_GROUPS,
    "GroupId",
    "group-id",
    Action.DELETE_SECURITY_GROUP,
    "GroupId",
    "delete-security-group --group-id",
    {},
    "GroupName",
)
KINDS: Final = (
    Kind(
        "spot request",
        Action.DESCRIBE_SPOT_INSTANCE_REQUESTS,
        "SpotInstanceRequestId",
        "spot-instance-request-id",
        Action.CANCEL_SPOT_INSTANCE_REQUESTS,
        "SpotInstanceRequestIds",
        "cancel-spot-instance-requests --spot-instance-request-ids",
        {"state": ["open", "active", "disabled"]},
        "Status.Code",
    ),
    Kind(
        "network interface",
        Action.DESCRIBE_NETWORK_INTERFACES,
        "NetworkInterfaceId",
        "network-interface-id",
        Action.DELETE_NETWORK_INTERFACE,
        "NetworkInterfaceId",
        "delete-network-interface --network-interface-id",
        {},
        "Status",
    ),
    Kind(
        "volume",
        Action.DESCRIBE_VOLUMES,
        "VolumeId",
        "volume-id",
        Action.DELETE_VOLUME,
        "VolumeId",
        "delete-volume --volume-id",
        {"status": ["creating", "available", "in-use", "error"]},
        "State",
    ),
    GROUPS,
)
"""In the order of deletion: a group cannot go while an interface uses it, or a rule of another
group names it."""


def leftovers(api: Api, labels: Mapping[str, str]) -> list[Resource]:
    """Everything here that carries these labels and is not an instance. One listing a kind, all at
    the same time."""
    listings = together([partial(_list, api, kind, labels) for kind in KINDS])
    return [thing for found in listings for thing in found if matches(thing.labels, labels)]


def release(api: Api, resources: Sequence[Resource]) -> None:
    """Delete these, in an order that works. A missing one is success; one in use stays. One that
    a policy forbids to delete is looked up by its id, as instances are.

    Raises:
        ProviderError: AWS's error for the first one that exists and that it refused for another
            reason; the others were tried.
    """
    refused: list[ProviderError] = []
    in_order = sorted(resources, key=lambda thing: thing.detail.endswith(f"-{MEMBERS}"))
    for kind in KINDS:
        for thing in in_order:
            if thing.kind == kind.name:
                refused += _delete(api, kind, thing.id)
    raise_first(refused)


def manual_delete_command(thing: Resource) -> str:
    """The arguments of `aws ec2` that delete it."""
    noun = next((kind.noun for kind in KINDS if kind.name == thing.kind), f"# {thing.kind}")
    return f"{noun} {thing.id}"


def _list(api: Api, kind: Kind, labels: Mapping[str, str]) -> list[Resource]:
    criteria = filters({**tag_filters(labels), **kind.only})
    found = api.pages(kind.listing, {"Filters": criteria, "MaxResults": PAGE})
    return [resource(api, kind, item) for item in found]


def resource(api: Api, kind: Kind, item: Record) -> Resource:
    """A thing of a listing as the core knows it."""
    return Resource(
        kind=kind.name,
        id=text(item, kind.id),
        provider="aws",
        location=api.region,
        labels=tags(item),
        detail=text(item, kind.detail),
    )


def _delete(api: Api, kind: Kind, id_: str) -> list[ProviderError]:
    try:
        api.call(kind.delete, kind.delete_parameters(id_))
    except ProviderError as error:
        code = error.code or ""
        if code.endswith(".NotFound") or code in IN_USE:
            return []
        if not _of_one(error):
            raise
        return [] if code == DENIED and not _exists(api, kind, id_) else [error]
    return []


def _exists(api: Api, kind: Kind, id_: str) -> bool:
    criteria = filters({kind.filter: [id_], **kind.only})
    return bool(api.pages(kind.listing, {"Filters": criteria}))
