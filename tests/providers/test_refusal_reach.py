"""How far each cloud's refusals reach, and which sizes one of its quotas counts together."""

from __future__ import annotations

import json

import pytest

from spotdeploy.errors import ProviderError, Reach
from spotdeploy.model import MarketPolicy, Pool
from spotdeploy_aws.errors import CODES as AWS
from spotdeploy_aws.offers import family as family_of_aws
from spotdeploy_azure.errors import refusal as refusal_of_azure
from spotdeploy_gcp.errors import failed as failed_at_google
from spotdeploy_gcp.errors import family as family_of_gcp
from spotdeploy_gcp.schemas import OperationError
from tests.labs.azure import AzureLab
from tests.labs.clouds import AZURE


@pytest.mark.parametrize(
    ("code", "reach"),
    [
        ("InsufficientInstanceCapacity", Reach.OFFER),
        ("InsufficientAddressCapacity", Reach.LOCATION),
        ("InsufficientFreeAddressesInSubnet", Reach.ZONE),
        ("InvalidParameterCombination", Reach.SIZE),
        ("MaxSpotInstanceCountExceeded", Reach.FAMILY),
        ("VcpuLimitExceeded", Reach.FAMILY),
        ("NetworkInterfaceLimitExceeded", Reach.LOCATION),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", Reach.MARKET),
        ("InvalidClientTokenId", Reach.ACCOUNT),
        ("SomethingOfNextYear", Reach.OFFER),
    ],
)
def test_aws(code: str, reach: Reach) -> None:
    assert AWS.error(code, "no", 400, "RunInstances").reach is reach


@pytest.mark.parametrize(
    ("sizes", "family"),
    [
        (("t3.small", "m7g.large", "c6i.xlarge", "im4gn.large", "r5.large"), "standard"),
        (("g5.xlarge", "gr6.4xlarge", "vt1.3xlarge"), "g"),
        (("p4d.24xlarge", "p5.48xlarge"), "p"),
        (("inf2.xlarge",), "inf"),
        (("trn1.2xlarge",), "trn"),
        (("hpc7g.4xlarge",), "hpc"),
        (("dl1.24xlarge",), "dl"),
        (("x2idn.16xlarge",), "x"),
        (("u-6tb1.metal",), "u"),
    ],
)
def test_the_families_of_aws_are_its_quotas(sizes: tuple[str, ...], family: str) -> None:
    assert {family_of_aws(size) for size in sizes} == {family}


@pytest.mark.parametrize(
    ("code", "message", "reach"),
    [
        ("QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded.  Limit: 8.0", Reach.FAMILY),
        ("QUOTA_EXCEEDED", "Quota 'CPUS' exceeded.  Limit: 24.0", Reach.FAMILY),
        ("QUOTA_EXCEEDED", "Quota 'PREEMPTIBLE_CPUS' exceeded.  Limit: 1.0", Reach.MARKET),
        ("QUOTA_EXCEEDED", "Quota 'CPUS_ALL_REGIONS' exceeded.", Reach.ACCOUNT),
        ("QUOTA_EXCEEDED", "Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 4.0", Reach.LOCATION),
        ("quotaExceeded", "Quota 'SSD_TOTAL_GB' exceeded.", Reach.LOCATION),
        ("INTERNAL_ERROR", "Internal error. Please try again", Reach.OFFER),
        ("IP_SPACE_EXHAUSTED_WITH_DETAILS", "IP space of 'x' is exhausted.", Reach.LOCATION),
        ("CONDITION_NOT_MET", "Constraint constraints/gcp.resourceLocations", Reach.LOCATION),
        ("badRequest", "[pd-balanced] features are not compatible", Reach.OFFER),
    ],
)
def test_gcp(code: str, message: str, reach: Reach) -> None:
    summary = OperationError(code="VM_MIN_COUNT_NOT_REACHED", message="0 of 2 were made")
    cause = OperationError(code=code, message=message)
    assert failed_at_google([cause, summary], "bulkInsert").reach is reach


def test_the_families_of_gcp_are_its_quotas() -> None:
    assert {family_of_gcp(size) for size in ("e2-small", "n1-standard-1", "f1-micro")} == {"cpus"}
    assert family_of_gcp("n2d-standard-4") == "n2d"


def azures(code: str, message: str) -> ProviderError:
    inner = {"code": code, "message": message}
    outer = {"code": "InvalidTemplateDeployment", "message": "not valid", "details": [inner]}
    return refusal_of_azure(json.dumps({"error": outer}), 400, "PUT deployment")


@pytest.mark.parametrize(
    ("code", "message", "reach"),
    [
        ("QuotaExceeded", "exceeding approved standardFSv2Family Cores quota.", Reach.FAMILY),
        ("QuotaExceeded", "exceeding approved LowPriorityCores quota.", Reach.MARKET),
        ("OperationNotAllowed", "exceeding approved Total Regional Cores quota.", Reach.MARKET),
        ("PublicIPCountLimitReached", "Cannot create more than 20 addresses", Reach.LOCATION),
        ("RequestDisallowedByAzure", "a set of best available regions", Reach.LOCATION),
        ("AzureSpotFeatureNotEnabledForSubscription", "not enabled", Reach.MARKET),
        ("SkuNotAvailable", "Capacity Restrictions", Reach.OFFER),
        ("ResourceOfNextYear", "no", Reach.OFFER),
    ],
)
def test_azure(code: str, message: str, reach: Reach) -> None:
    assert azures(code, message).reach is reach


def test_the_families_of_azure_are_those_of_its_list_of_sizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with AzureLab() as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        offers = AZURE.open(lab).offers(Pool(1, MarketPolicy.SPOT))
    assert {offer.family for offer in offers} == {"standardDASv5Family"}
