"""AWS's error codes, sorted by what the caller does next.

The codes are those of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html;
the throttling ones are completed from botocore's retry table, and the spot ones from
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html.
"""

from __future__ import annotations

from typing import Final

from spotdeploy.errors import ProviderError, Reach, ThrottledError
from spotdeploy_libcloud.errors import Codes

CODES: Final = Codes(
    capacity=frozenset(
        {
            "InsufficientAddressCapacity",
            "InsufficientCapacity",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "InsufficientReservedInstanceCapacity",
            "SpotMaxPriceTooLow",
            "UnfulfillableCapacity",
            "Unsupported",
        }
    ),
    quota=frozenset(
        {
            "InstanceLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "NetworkInterfaceLimitExceeded",
            "PendingVerification",
            "ResourceLimitExceeded",
            "SecurityGroupLimitExceeded",
            "VcpuLimitExceeded",
            "VolumeLimitExceeded",
        }
    ),
    credentials=frozenset(
        {
            "AccessDenied",
            "AuthFailure",
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "Blocked",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "MissingAuthenticationToken",
            "OptInRequired",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        }
    ),
    throttled=frozenset(
        {
            "EC2ThrottledException",
            "InternalError",
            "InternalFailure",
            "RequestLimitExceeded",
            "RequestThrottled",
            "ServiceUnavailable",
            "Throttling",
            "ThrottlingException",
            "Unavailable",
        }
    ),
    hints={
        "AuthFailure": "check the credentials, and that the region is enabled for the account",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (
            "once per account, as an administrator: "
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        ),
        "ExpiredToken": "get new credentials, for example with 'aws sso login'",
        "MaxSpotInstanceCountExceeded": "ask for more under 'Service Quotas', Amazon EC2, spot",
        "OptInRequired": "accept the image's terms in the AWS Marketplace, or choose another image",
        "RequestExpired": "set this computer's clock, or get new credentials",
        "UnauthorizedOperation": "the permissions needed are listed in docs/providers/aws.md",
        "VcpuLimitExceeded": "ask for more under 'Service Quotas', Amazon EC2, on-demand",
    },
    reach={
        "AuthFailure": Reach.LOCATION,
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": Reach.MARKET,
        "InstanceLimitExceeded": Reach.SIZE,
        "InsufficientAddressCapacity": Reach.LOCATION,
        "InsufficientFreeAddressesInSubnet": Reach.ZONE,
        "InvalidAMIID.NotFound": Reach.IMAGE,
        "InvalidBlockDeviceMapping": Reach.IMAGE,
        "InvalidParameterCombination": Reach.SIZE,
        "MaxSpotInstanceCountExceeded": Reach.FAMILY,
        "OptInRequired": Reach.LOCATION,
        "UnauthorizedOperation": Reach.LOCATION,
        "VcpuLimitExceeded": Reach.FAMILY,
    },
)

UNKNOWN_OUTCOME: Final = frozenset({"InternalError", "InternalFailure", "Unavailable"})
"""After these a create call may have taken effect all the same."""


def leaves_open(refused: ProviderError, status: int) -> bool:
    """True when a create call that was refused so may have taken effect all the same: the server
    failed, and said no code that we know, or one that says just that."""
    known = refused.code in CODES.throttled - UNKNOWN_OUTCOME
    return isinstance(refused, ThrottledError) and status >= 500 and not known


MISSING: Final = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""No such instance. Malformed is what an id from somewhere else gets."""
