"""Claims: a firewall rule that is never in force, since a project has one of a name, and for free.

Google tells rules of one name apart by a number, by which a claim is deleted: never the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import ThrottledError
from spotdeploy.model import Resource
from spotdeploy_gcp.network import LOCATION, PREFIX, Firewall, describe, described
from spotdeploy_gcp.schemas import Firewall as Rule
from spotdeploy_libcloud.request import Body

KIND: Final = "claim"
LAST: Final = 65535
"""The least of priorities: https://cloud.google.com/firewall/docs/firewalls#priority_order_for_firewall_rules"""


def claim(firewall: Firewall, region: str, labels: Mapping[str, str]) -> Resource:
    """See `SupportsClaims.claim`. Two calls, and the wait for an operation; may be repeated."""
    name = name_of(labels[names.DEPLOYMENT], region)
    firewall.make([_body(name, firewall.network, region, labels)])
    rule = firewall.rule(name)
    if rule is None:
        raise ThrottledError(f"the claim {name} cannot be read yet, or no longer")
    return from_rule(rule, firewall.project, region)


def name_of(deployment: str, region: str) -> str:
    """What a deployment's claim in a region is called."""
    digest = hashlib.sha256(f"{deployment}/{region}".encode()).hexdigest()[:20]
    return f"{PREFIX}claim-{digest}"


def from_rule(rule: Rule, project: str, region: str) -> Resource:
    """The claim that a rule is."""
    labels = {key: value for key, value in described(rule.description).items() if key != LOCATION}
    return Resource(KIND, f"{project}/{rule.name}/{rule.id}", "gcp", region, labels)


def _body(name: str, network: str, region: str, labels: Mapping[str, str]) -> Body:
    return {
        "name": name,
        "network": network,
        "description": describe(labels, region),
        "direction": "INGRESS",
        "disabled": True,
        "priority": LAST,
        "denied": [{"IPProtocol": "all"}],
        "sourceRanges": ["0.0.0.0/0"],
        "targetTags": [name],
    }
