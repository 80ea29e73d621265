"""The role with which EC2 serves spot requests.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html:
without it, and without the right to make it, nobody gets a spot instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.labs.aws.call import ACCOUNT, NAMESPACES, AwsError, Call, Reply

SPOT_ROLE: Final = "AWSServiceRoleForEC2Spot"
PATH: Final = "/aws-service-role/spot.amazonaws.com/"


@dataclass
class Roles:
    """The roles of an account."""

    spot: bool = True
    """False where the role does not exist, and these credentials may not make it."""

    def get(self, call: Call) -> Reply:
        """https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html"""
        name = call.parameters["RoleName"]
        if name != SPOT_ROLE or not self.spot:
            raise AwsError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
        arn = f"arn:aws:iam::{ACCOUNT}:role{PATH}{name}"
        facts = f"<Path>{PATH}</Path><RoleName>{name}</RoleName><Arn>{arn}</Arn>"
        facts += "<RoleId>AROALABSPOT0000000000</RoleId>"
        facts += "<CreateDate>2024-01-01T00:00:00Z</CreateDate>"
        text = f'<GetRoleResponse xmlns="{NAMESPACES["iam"]}"><GetRoleResult><Role>{facts}</Role>'
        text += "</GetRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        return Reply(200, f"{text}</GetRoleResponse>".encode())

    def require(self, market: str) -> None:
        """Raise AwsError when an instance of this market cannot be had without the role."""
        if market == "spot" and not self.spot:
            raise AwsError(
                "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
                "The provided credentials do not have permission to create the service-linked "
                "role for EC2 Spot Instances.",
                403,
            )
