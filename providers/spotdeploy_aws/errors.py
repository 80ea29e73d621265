"""AWS's error codes, sorted by what the caller does next.

The codes are those of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html;
the throttling ones are completed from botocore's retry table, and the spot ones from
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html.
"""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from spotdeploy.errors import ProviderError, Reach, ThrottledError
from spotdeploy.refusals import ErrorTable

SIGNATURE: Final = "check the secret key, and set this computer's clock"
CODES: Final = ErrorTable(
    capacity=frozenset(
        {
            "InsufficientAddressCapacity",
            "InsufficientCapacity",
            "InsufficientCapacityOnHost",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "InsufficientReservedInstanceCapacity",
            "InsufficientVolumeCapacity",
            "SpotMaxPriceTooLow",
            "UnfulfillableCapacity",
            "Unsupported",
            "VolumeTypeNotAvailableInZone",
        }
    ),
    quota=frozenset(
        {
            "AddressLimitExceeded",
            "InstanceLimitExceeded",
            "MaxIOPSLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "NetworkInterfaceLimitExceeded",
            "PendingVerification",
            "RequestResourceCountExceeded",
            "ResourceLimitExceeded",
            "RulesPerSecurityGroupLimitExceeded",
            "SecurityGroupLimitExceeded",
            "VcpuLimitExceeded",
            "VolumeLimitExceeded",
        }
    ),
    credentials=frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "Blocked",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
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
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "InternalError",
            "InternalFailure",
            "PriorRequestNotComplete",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "ServiceUnavailable",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "Unavailable",
        }
    ),
    hints={
        "AuthFailure": (
            "check the credentials, this computer's clock, and that the region is enabled for the "
            "account"
        ),
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (
            "once per account, as an administrator: "
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        ),
        "ExpiredToken": "get new credentials, for example with 'aws sso login'",
        "MaxSpotInstanceCountExceeded": "ask for more under 'Service Quotas', Amazon EC2, spot",
        "OptInRequired": "accept the image's terms in the AWS Marketplace, or choose another image",
        "InsufficientAddressCapacity": 'add a region, or set address = "private"',
        "InvalidSignatureException": SIGNATURE,
        "PendingVerification": "AWS verifies the account, within hours as a rule; try again then",
        "RequestExpired": "set this computer's clock, or get new credentials",
        "SignatureDoesNotMatch": SIGNATURE,
        "UnauthorizedOperation": "the permissions needed are listed in docs/providers/aws.md",
        "VcpuLimitExceeded": "ask for more under 'Service Quotas', Amazon EC2, on-demand",
    },
    reach={
        "AuthFailure": Reach.LOCATION,
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": Reach.MARKET,
        "DefaultSubnetDoesNotExistInAZ": Reach.ZONE,
        "DefaultVpcDoesNotExist": Reach.LOCATION,
        "EncryptedVolumesNotSupported": Reach.SIZE,
        "InstanceCreditSpecification.NotSupported": Reach.SIZE,
        "InstanceLimitExceeded": Reach.SIZE,
        "InsufficientAddressCapacity": Reach.LOCATION,
        "InsufficientFreeAddressesInSubnet": Reach.ZONE,
        "InsufficientVolumeCapacity": Reach.ZONE,
        "InvalidAMIID.Malformed": Reach.IMAGE,
        "InvalidAMIID.NotFound": Reach.IMAGE,
        "InvalidAMIID.Unavailable": Reach.IMAGE,
        "InvalidAvailabilityZone": Reach.ZONE,
        "InvalidBlockDeviceMapping": Reach.IMAGE,
        "InvalidInstanceType": Reach.SIZE,
        "InvalidParameterCombination": Reach.SIZE,
        "InvalidSnapshot.NotFound": Reach.IMAGE,
        "InvalidSubnet": Reach.ZONE,
        "InvalidSubnetID.NotFound": Reach.ZONE,
        "InvalidZone.NotFound": Reach.ZONE,
        "MaxSpotInstanceCountExceeded": Reach.FAMILY,
        "OptInRequired": Reach.LOCATION,
        "RequestResourceCountExceeded": Reach.MARKET,
        "TagLimitExceeded": Reach.LOCATION,
        "UnauthorizedOperation": Reach.LOCATION,
        "VcpuLimitExceeded": Reach.FAMILY,
        "VolumeTypeNotAvailableInZone": Reach.ZONE,
    },
)


class Rule(NamedTuple):
    """Refusals that share their code with others, and are told apart by AWS's message."""

    code: str
    message: str
    """An expression that is found in the message."""
    kind: type[ProviderError]
    reach: Reach
    hint: str


RULES: Final = (
    Rule(
        "AuthFailure",
        "(?i)not authorized for images",
        ProviderError,
        Reach.IMAGE,
        "check provider.aws.image, and that its owner shares it with this account",
    ),
    Rule(
        "OptInRequired",
        "(?i)marketplace|accept (the )?terms|subscri",
        ProviderError,
        Reach.IMAGE,
        "accept the image's terms in the AWS Marketplace, or choose another image",
    ),
    Rule(
        "InvalidParameterCombination",
        "(?i)free tier",
        ProviderError,
        Reach.SIZE,
        "name sizes that 'aws ec2 describe-instance-types --filters "
        "Name=free-tier-eligible,Values=true' lists in provider.aws.sizes, or leave the free plan",
    ),
    Rule(
        "InvalidParameterValue",
        "(?i)architecture .*does not match",
        ProviderError,
        Reach.SIZE,
        "choose sizes of the image's architecture, or another image",
    ),
    Rule(
        "InvalidParameterValue",
        "(?i)availability ?zone",
        ProviderError,
        Reach.ZONE,
        "check provider.aws.subnets",
    ),
    Rule(
        "InvalidParameterValue",
        "(?i)instance ?type",
        ProviderError,
        Reach.SIZE,
        "check provider.aws.sizes",
    ),
    Rule(
        "UnsupportedOperation",
        "(?i)marketplace product|instance type",
        ProviderError,
        Reach.SIZE,
        "check that the image supports the sizes of provider.aws.sizes",
    ),
)
CLOCK: Final = frozenset(
    {"AuthFailure", "InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"}
)
"""Refusals to which a wrong clock here leads: a signature holds for five minutes
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""
SKEW: Final = 60.0
"""Seconds by which a clock must be wrong to be mentioned."""


def refusal(code: str, message: str, status: int, call: str, date: str = "") -> ProviderError:
    """Our error for an error answer. `call` names what was asked, and where; `date` is the answer's
    Date header, by which this computer's clock is judged."""
    error = CODES.error(code, message, status, call)
    for rule in RULES:
        if rule.code == code and re.search(rule.message, message):
            return rule.kind(error.message, code=code, hint=rule.hint, reach=rule.reach)
    if code in CLOCK and (wrong := _skew(date)):
        error.hint = f"{error.hint}; {wrong}"
    return error


def _skew(date: str) -> str:
    """How wrong this computer's clock is beside the date of an answer, for people; "" for right."""
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return ""
    side = "ahead of" if ahead > 0 else "behind"
    return f"this computer's clock is {abs(ahead):.0f} s {side} AWS's" if abs(ahead) > SKEW else ""


UNKNOWN_OUTCOME: Final = frozenset({"InternalError", "InternalFailure", "Unavailable"})
"""After these a create call may have taken effect all the same."""


def leaves_open(refused: ProviderError, status: int) -> bool:
    """True when a create call that was refused so may have taken effect all the same: the server
    failed, and said no code that we know, or one that says just that."""
    known = refused.code in CODES.throttled - UNKNOWN_OUTCOME
    return isinstance(refused, ThrottledError) and status >= 500 and not known


MISSING: Final = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
"""No such instance. Malformed is what an id from somewhere else gets."""
