"""Every EC2 action this provider can call: the list in docs/providers/aws.md is held to it."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """An action of the EC2 API, which is also the name of its IAM permission."""

    AUTHORIZE_SECURITY_GROUP_INGRESS = "AuthorizeSecurityGroupIngress"
    CANCEL_SPOT_INSTANCE_REQUESTS = "CancelSpotInstanceRequests"
    CREATE_SECURITY_GROUP = "CreateSecurityGroup"
    DELETE_NETWORK_INTERFACE = "DeleteNetworkInterface"
    DELETE_SECURITY_GROUP = "DeleteSecurityGroup"
    DELETE_VOLUME = "DeleteVolume"
    DESCRIBE_IMAGES = "DescribeImages"
    DESCRIBE_INSTANCE_TYPE_OFFERINGS = "DescribeInstanceTypeOfferings"
    DESCRIBE_INSTANCE_TYPES = "DescribeInstanceTypes"
    DESCRIBE_INSTANCES = "DescribeInstances"
    DESCRIBE_NETWORK_INTERFACES = "DescribeNetworkInterfaces"
    DESCRIBE_REGIONS = "DescribeRegions"
    DESCRIBE_SECURITY_GROUPS = "DescribeSecurityGroups"
    DESCRIBE_SPOT_INSTANCE_REQUESTS = "DescribeSpotInstanceRequests"
    DESCRIBE_SPOT_PRICE_HISTORY = "DescribeSpotPriceHistory"
    DESCRIBE_SUBNETS = "DescribeSubnets"
    DESCRIBE_VOLUMES = "DescribeVolumes"
    GET_CONSOLE_OUTPUT = "GetConsoleOutput"
    RUN_INSTANCES = "RunInstances"
    TERMINATE_INSTANCES = "TerminateInstances"
