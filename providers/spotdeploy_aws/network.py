"""Where nodes are put: zones with their subnets, and the security groups of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from time import sleep
from typing import Final, TypeVar

from spotdeploy import labels as names
from spotdeploy.errors import ConfigError, ProviderError, ThrottledError
from spotdeploy.model import Batch
from spotdeploy.ports import PortRange, is_all
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import PAGE, Api, tag_filters
from spotdeploy_aws.config import AwsConfig
from spotdeploy_aws.request import tag_specification
from spotdeploy_aws.schemas import Parameters, Place, Record, filters
from spotdeploy_libcloud.network import Ingress, OwnAddress, digest

T = TypeVar("T")
NO_GROUP: Final = ("InvalidGroup.NotFound", "InvalidGroupId.")
MEMBERS: Final = "nodes"
"""The end of the name of the group that all nodes of a run are in."""
PAUSES: Final = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try with a security group that EC2 does not know. The core repeats
the whole call after that, so that a run waits for minutes and no call blocks for long."""


class Network:
    """Zones, subnets and security groups under one config. Each is asked for once."""

    def __init__(self, api: Api, config: AwsConfig) -> None:
        """Calls nothing."""
        self._api = api
        self._config = config
        self.own_address = OwnAddress("aws", config.address, config.address_service)
        self._groups: dict[tuple[str, str, str], str] = {}

    @cached_property
    def places(self) -> list[Place]:
        """Zones and subnets, first choice first."""
        return places(self._api, self._config.subnets)

    def place(self, zone: str | None) -> Place:
        """The first subnet of a zone. Raises ProviderError when nodes can't be put there."""
        for place in self.places:
            if zone in (None, place.zone):
                return place
        raise ProviderError(f"there is no subnet for nodes in {zone}")

    def groups(self, place: Place, batch: Batch) -> tuple[str, ...]:
        """The ids of the security groups of a batch, made on first use: where nodes of its run
        reach one another, one that all of them are in and that opens nothing, and one for those
        batches that let in the same."""
        ingress, between = self.own_address.ingress(batch), batch.open_between
        if between is None:
            return (self._group(place, batch, digest(ingress, ()), permissions(ingress)),)
        members = self._group(place, batch, MEMBERS, [])
        permitted = permissions(ingress) + member_permissions(members, between)
        return self._group(place, batch, digest(ingress, between), permitted), members

    def admit(self, batch: Batch, addresses: Sequence[str]) -> None:
        """See `SupportsPeers.admit`. A call for each VPC, and two more for what changes."""
        from spotdeploy_aws.peers import admit

        between = batch.open_between or ()
        name = _name(batch.labels, digest(self.own_address.ingress(batch), between))
        for vpc in dict.fromkeys(place.vpc for place in self.places):
            for group in _described(self._api, vpc, name, batch.labels):
                admit(self._api, group, between, addresses)

    def _group(self, place: Place, batch: Batch, kind: str, permitted: Sequence[Parameters]) -> str:
        key = (batch.labels[names.RUN], place.vpc, kind)
        if key not in self._groups:
            labels = {**self._config.tags, **batch.labels}
            self._groups[key] = group_for(self._api, place.vpc, labels, kind, permitted)
        return self._groups[key]

    def forget_groups(self) -> None:
        """Look security groups up again when they are needed next."""
        self._groups.clear()


def places(api: Api, subnets: Sequence[str]) -> list[Place]:
    """The zones nodes can be put in, each with its subnet, in the order of `subnets`; without
    `subnets`, the default subnets. One call.

    Raises ConfigError when there is nowhere to put a node.
    """
    criteria = {"subnet-id": subnets} if subnets else {"default-for-az": ["true"]}
    parameters: Parameters = {
        "Filters": filters({**criteria, "state": ["available"]}),
        "MaxResults": PAGE,
    }
    found = [
        Place(item["AvailabilityZone"], item["SubnetId"], item["VpcId"])
        for item in api.pages(Action.DESCRIBE_SUBNETS, parameters)
    ]
    if subnets:
        found.sort(key=lambda place: subnets.index(place.subnet))
    else:
        found.sort(key=lambda place: place.zone)
    if found:
        return found
    region = api.region
    if subnets:
        raise ConfigError(f"none of the subnets {', '.join(subnets)} is in {region}")
    raise ConfigError(
        f"there is no default VPC in {region}",
        hint=f"run 'aws ec2 create-default-vpc --region {region}' or set provider.aws.subnets",
    )


def permissions(ingress: Ingress) -> list[Parameters]:
    """The `IpPermissions` parameter."""
    ranges: dict[str, list[dict[str, str]]] = {
        "IpRanges": [{"CidrIp": cidr} for cidr in ingress.cidrs(4)],
        "Ipv6Ranges": [{"CidrIpv6": cidr} for cidr in ingress.cidrs(6)],
    }
    return [
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **ranges}
        for port in ingress.all_ports
    ]


def member_permissions(members: str, between: Sequence[PortRange]) -> list[Parameters]:
    """The `IpPermissions` for what the instances of a group send by their private addresses.
    Without one they reach nothing of each other:
    https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html"""
    ping: list[Parameters] = [{"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1}]
    ports: list[Parameters] = [
        {"IpProtocol": one.protocol, "FromPort": one.first, "ToPort": one.last} for one in between
    ]
    rules = ports + ping if is_all(between) else ports
    return [{**rule, "UserIdGroupPairs": [{"GroupId": members}]} for rule in rules]


def group_for(
    api: Api,
    vpc: str,
    labels: Mapping[str, str],
    kind: str,
    permitted: Sequence[Parameters],
) -> str:
    """The id of this run's security group of a kind in a VPC, made with these `IpPermissions` if it
    is not there. May be repeated.

    Raises:
        ThrottledError: it was made, and AWS does not list or know it yet.
    """
    name = _name(labels, kind)
    group = patiently(lambda: _find(api, vpc, name, labels) or _make(api, vpc, name, labels))
    if not permitted:
        return group
    rules: Parameters = {"GroupId": group, "IpPermissions": list(permitted)}
    try:
        patiently(lambda: api.call(Action.AUTHORIZE_SECURITY_GROUP_INGRESS, rules))
    except ProviderError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise
    return group


def patiently(use: Callable[[], T]) -> T:
    """What `use` returns. It uses a security group that may have just been made, which EC2 need
    not know yet: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.

    Blocks for the sum of `PAUSES` at most. Raises ThrottledError when EC2 does not know it then.
    """
    for pause in (0.0, *PAUSES):
        sleep(pause)
        try:
            return use()
        except ProviderError as error:
            if not (error.code or "").startswith(NO_GROUP):
                raise
            unknown = error
    raise ThrottledError(unknown.message, code=unknown.code) from unknown


def _name(labels: Mapping[str, str], kind: str) -> str:
    return f"spotdeploy-{labels[names.DEPLOYMENT]}-{labels[names.RUN]}-{kind}"


def _find(api: Api, vpc: str, name: str, labels: Mapping[str, str]) -> str | None:
    found = _described(api, vpc, name, labels)
    return str(found[0]["GroupId"]) if found else None


def _described(api: Api, vpc: str, name: str, labels: Mapping[str, str]) -> list[Record]:
    scope = tag_filters({key: labels[key] for key in (names.DEPLOYMENT, names.RUN)})
    criteria = filters({**scope, "group-name": [name], "vpc-id": [vpc]})
    parameters: Parameters = {"Filters": criteria, "MaxResults": PAGE}
    return api.pages(Action.DESCRIBE_SECURITY_GROUPS, parameters)


def _make(api: Api, vpc: str, name: str, labels: Mapping[str, str]) -> str:
    kept = {key: value for key, value in labels.items() if key != names.BATCH}
    parameters: Parameters = {
        "GroupName": name,
        "Description": "made by spotdeploy, removed with its nodes",
        "VpcId": vpc,
        "TagSpecifications": [tag_specification("security-group", kept)],
    }
    try:
        return str(api.call(Action.CREATE_SECURITY_GROUP, parameters)["GroupId"])
    except ProviderError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
    if (found := _find(api, vpc, name, labels)) is None:
        message = f"security group {name} exists, but is not listed yet"
        raise ProviderError(message, code="InvalidGroup.NotFound")
    return found
