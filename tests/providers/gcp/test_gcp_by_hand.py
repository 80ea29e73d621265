"""The commands that a person is shown, read as gcloud reads them.

https://cloud.google.com/sdk/gcloud/reference/compute has each command's own page.
"""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from spotdeploy import labels
from spotdeploy.model import Node, NodeState, Resource
from spotdeploy_gcp.destroy import DISK, FIREWALL
from tests.labs.gcp import GcpLab
from tests.providers.gcp.conftest import REGION, SCOPE, MakeProvider

FILTER = re.compile(r"(labels\.[a-z][a-z0-9_-]*(=|:)|description~)[a-z0-9_*-]+")


class Grammar(argparse.ArgumentParser):
    """Refuses by raising."""

    def error(self, message: str) -> None:  # type: ignore[override]  # it raises too
        raise ValueError(message)


def gcloud() -> Grammar:
    """The documented arguments of the commands that are shown."""
    parser = Grammar(prog="gcloud", allow_abbrev=False)
    groups = parser.add_subparsers(required=True)
    compute = groups.add_parser("compute").add_subparsers(required=True, dest="noun")
    for noun, zonal in (("instances", True), ("disks", True), ("firewall-rules", False)):
        verbs = compute.add_parser(noun).add_subparsers(required=True, dest="verb")
        delete = verbs.add_parser("delete", allow_abbrev=False)
        delete.add_argument("name")
        if zonal:
            delete.add_argument("--zone", required=True)
        listing = verbs.add_parser("list", allow_abbrev=False)
        listing.add_argument("--filter", required=True)
        for command in (delete, listing):
            command.add_argument("--project")
    return parser


def parsed(line: str) -> argparse.Namespace:
    """One command line."""
    program, *arguments = shlex.split(line)
    assert program == "gcloud"
    return gcloud().parse_args(arguments)


NODE = Node("p-1/us-central1-ai1a/sd-x-0", "sd-x-0", "gcp", REGION, NodeState.RUNNING)


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (NODE, ("instances", "sd-x-0", "us-central1-ai1a", "p-1")),
        (Resource(DISK, "disks/p-2/x-y1-c/d", "gcp", REGION), ("disks", "d", "x-y1-c", "p-2")),
        (
            Resource("claim", "host/spotdeploy-claim-x/77", "gcp", REGION),
            ("firewall-rules", "spotdeploy-claim-x", None, "host"),
        ),
        (
            Resource(FIREWALL, "host/spotdeploy-x", "gcp", REGION),
            ("firewall-rules", "spotdeploy-x", None, "host"),
        ),
    ],
)
def test_a_command_that_deletes_names_project_zone_and_name(
    make: MakeProvider, thing: Node | Resource, expected: tuple[str | None, ...]
) -> None:
    found = parsed(make(project="another").manual_delete_command(thing))
    assert found.verb == "delete"
    place = (found.noun, found.name, getattr(found, "zone", None), found.project)
    assert place == expected


@pytest.mark.parametrize("named", [{}, {"project": "lab-project"}])
@pytest.mark.parametrize("asked", [SCOPE, {**SCOPE, labels.RUN: labels.ANY}])
def test_the_commands_that_list_name_the_project_that_is_in_use(
    make: MakeProvider, lab: GcpLab, named: dict[str, str], asked: dict[str, str]
) -> None:
    provider = make(**named)
    provider.nodes(SCOPE)
    commands = [parsed(line) for line in provider.manual_list_command(asked).split("; ")]
    assert [one.noun for one in commands] == ["instances", "disks", "firewall-rules"]
    assert {one.project for one in commands} == {lab.project}
    for one in commands:
        assert all(FILTER.fullmatch(part) for part in one.filter.split(" AND ")), one.filter


def test_rules_of_a_shared_network_are_looked_for_in_its_project(make: MakeProvider) -> None:
    provider = make(project="of-nodes", network="projects/host/global/networks/shared")
    commands = [parsed(line) for line in provider.manual_list_command(SCOPE).split("; ")]
    assert [one.project for one in commands] == ["of-nodes", "of-nodes", "host"]


def test_a_credentials_outage_does_not_take_the_project_away(
    make: MakeProvider, lab: GcpLab
) -> None:
    lab.revoke()
    provider = make()
    with pytest.raises(Exception, match="revoked"):
        provider.nodes(SCOPE)
    (first, *_) = provider.manual_list_command(SCOPE).split("; ")
    assert parsed(first).project == lab.project


def test_the_grammar_refuses_what_gcloud_would() -> None:
    for line in (
        "gcloud compute instances delete x",
        "gcloud compute firewall-rules delete x --zone a",
        "gcloud compute disks list",
        "gcloud compute instances delete x --zon a",
    ):
        with pytest.raises(ValueError, match=r"required|unrecognized"):
            parsed(line)
