"""Nodes that are somewhere else, let in by their addresses: rules of the security group that the
nodes here have.

A group has 60 rules unless AWS grants more, and each address takes one for each range of ports:
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.ports import PortRange, is_all
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.schemas import Parameters

ELSEWHERE: Final = "another location of this deployment"
"""The description of such a rule."""
_KINDS: Final = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"))


class _Rule(NamedTuple):
    """One protocol's ports and one network."""

    protocol: str
    first: int
    last: int
    cidr: str

    @property
    def parameters(self) -> Parameters:
        """As an item of `IpPermissions`."""
        kind, key = _KINDS[ip_network(self.cidr).version == 6]
        source = {key: self.cidr, "Description": ELSEWHERE}
        return {
            "IpProtocol": self.protocol,
            "FromPort": self.first,
            "ToPort": self.last,
            kind: [source],
        }


def admit(
    api: Api, group: Parameters, between: Sequence[PortRange], addresses: Sequence[str]
) -> None:
    """Let these addresses reach these ports of a security group's instances, and nobody else whom
    an earlier call named. `group` is as DescribeSecurityGroups gives it. Two calls at most.

    Raises:
        ThrottledError: EC2 has rules that it does not list yet.
    """
    present = dict(_rules(group))
    ours = {rule for rule, description in present.items() if description == ELSEWHERE}
    desired = {rule for address in addresses for rule in _desired(address, between)}
    _change(api, Action.REVOKE_SECURITY_GROUP_INGRESS, group, ours - desired)
    try:
        _change(api, Action.AUTHORIZE_SECURITY_GROUP_INGRESS, group, desired - present.keys())
    except ProviderError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise
        raise ThrottledError(error.message, code=error.code) from error


def _change(api: Api, action: Action, group: Parameters, rules: set[_Rule]) -> None:
    if rules:
        changed = [rule.parameters for rule in sorted(rules)]
        api.call(action, {"GroupId": group["GroupId"], "IpPermissions": changed})


def _desired(address: str, between: Sequence[PortRange]) -> Iterator[_Rule]:
    cidr = str(ip_network(address))
    for one in between:
        yield _Rule(one.protocol, one.first, one.last, cidr)
    if is_all(between):
        yield _Rule("icmp" if ip_network(cidr).version == 4 else "icmpv6", -1, -1, cidr)


def _rules(group: Any) -> Iterator[tuple[_Rule, str]]:
    """Those that let in networks, each with its description."""
    for item in group["IpPermissions"]:
        for kind, key in _KINDS:
            for source in item.get(kind, ()):
                ports = item.get("FromPort", -1), item.get("ToPort", -1)
                rule = _Rule(item["IpProtocol"], *ports, source[key])
                yield rule, source.get("Description", "")
