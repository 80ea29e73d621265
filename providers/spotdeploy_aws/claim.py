"""The claim of a deployment in a region: a security group, whose name EC2 gives once in a VPC."""

from __future__ import annotations

from collections.abc import Mapping

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import Resource
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.destroy import GROUPS, resource
from spotdeploy_aws.request import tag_specification
from spotdeploy_aws.schemas import Parameters, filters


def claim(api: Api, vpc: str, labels: Mapping[str, str], tags: Mapping[str, str]) -> Resource:
    """The security group that is the claim: made with these labels and tags, or the one there is.

    It costs nothing, opens nothing, and needs no more rights than the groups of the nodes. Its name
    is taken from the moment of the call:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html.

    Raises ThrottledError while there is one that is not listed yet.
    """
    name = f"spotdeploy-{labels[names.DEPLOYMENT]}-claim"
    parameters: Parameters = {
        "GroupName": name,
        "Description": "a run of spotdeploy is at work, removed at its end",
        "VpcId": vpc,
        "TagSpecifications": [tag_specification("security-group", {**tags, **labels})],
    }
    try:
        made = str(api.call(Action.CREATE_SECURITY_GROUP, parameters)["GroupId"])
    except ProviderError as error:
        if error.code != "InvalidGroup.Duplicate":
            raise
        criteria = filters({"group-name": [name], "vpc-id": [vpc]})
        found = api.pages(Action.DESCRIBE_SECURITY_GROUPS, {"Filters": criteria})
        if not found:
            raise ThrottledError(
                f"{name} is not listed yet", code="InvalidGroup.NotFound"
            ) from error
        return resource(api, GROUPS, found[0])
    return Resource(GROUPS.name, made, "aws", api.region, dict(labels), name)
