"""Every action of AWS this provider can call: the list in docs/providers/aws.md is held to it."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """An action of one of AWS's APIs, spelt as the IAM permission that it needs."""

    AUTHORIZE_SECURITY_GROUP_INGRESS = "ec2:AuthorizeSecurityGroupIngress"
    CANCEL_SPOT_INSTANCE_REQUESTS = "ec2:CancelSpotInstanceRequests"
    CREATE_SECURITY_GROUP = "ec2:CreateSecurityGroup"
    DELETE_NETWORK_INTERFACE = "ec2:DeleteNetworkInterface"
    DELETE_SECURITY_GROUP = "ec2:DeleteSecurityGroup"
    DELETE_VOLUME = "ec2:DeleteVolume"
    DESCRIBE_IMAGES = "ec2:DescribeImages"
    DESCRIBE_INSTANCE_TYPE_OFFERINGS = "ec2:DescribeInstanceTypeOfferings"
    DESCRIBE_INSTANCE_TYPES = "ec2:DescribeInstanceTypes"
    DESCRIBE_INSTANCES = "ec2:DescribeInstances"
    DESCRIBE_NETWORK_INTERFACES = "ec2:DescribeNetworkInterfaces"
    DESCRIBE_REGIONS = "ec2:DescribeRegions"
    DESCRIBE_SECURITY_GROUPS = "ec2:DescribeSecurityGroups"
    DESCRIBE_SPOT_INSTANCE_REQUESTS = "ec2:DescribeSpotInstanceRequests"
    DESCRIBE_SPOT_PRICE_HISTORY = "ec2:DescribeSpotPriceHistory"
    DESCRIBE_SUBNETS = "ec2:DescribeSubnets"
    DESCRIBE_VOLUMES = "ec2:DescribeVolumes"
    GET_CALLER_IDENTITY = "sts:GetCallerIdentity"
    GET_CONSOLE_OUTPUT = "ec2:GetConsoleOutput"
    GET_PRODUCTS = "pricing:GetProducts"
    GET_ROLE = "iam:GetRole"
    GET_SERVICE_QUOTA = "servicequotas:GetServiceQuota"
    REVOKE_SECURITY_GROUP_INGRESS = "ec2:RevokeSecurityGroupIngress"
    RUN_INSTANCES = "ec2:RunInstances"
    TERMINATE_INSTANCES = "ec2:TerminateInstances"

    @property
    def service(self) -> str:
        """botocore's name for the API; the permission's may be another."""
        name = self.value.partition(":")[0]
        return {"servicequotas": "service-quotas"}.get(name, name)

    @property
    def operation(self) -> str:
        """The action's name in its service's model."""
        return self.value.partition(":")[2]
