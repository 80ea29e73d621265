"""What Google's refusals become: their kind, their reach, and what to do about them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy_gcp.api import read, refusal
from spotdeploy_gcp.errors import failed
from spotdeploy_gcp.schemas import OperationErrors
from tests.labs.gcp import GcpLab
from tests.labs.gcp.faults import Trouble
from tests.providers.gcp.conftest import MakeProvider, batch, offer

CALL = "compute.instances.bulkInsert"


def refused(status: int, reason: str, message: str, **more: Any) -> ProviderError:
    """The error for the answer to a call."""
    errors = [{"reason": reason, "message": message, "domain": "global"}] if reason else []
    error = {"code": status, "message": message, "errors": errors, **more}
    return refusal(json.dumps({"error": error}), status, CALL)


def operation(*errors: dict[str, Any]) -> ProviderError:
    """The error for an operation's errors."""
    return failed(read({"errors": list(errors)}, OperationErrors).errors, CALL)


def info(reason: str) -> list[dict[str, Any]]:
    """The details that name a reason."""
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]


@pytest.mark.parametrize(
    ("error", "kind", "reach", "hint"),
    [
        (
            refused(403, "forbidden", "This API method requires billing to be enabled."),
            CredentialsError,
            Reach.ACCOUNT,
            "billing account",
        ),
        (
            refused(403, "forbidden", "No.", details=info("BILLING_DISABLED")),
            CredentialsError,
            Reach.ACCOUNT,
            "billing account",
        ),
        (
            refused(403, "forbidden", "Required 'compute.x' permission for 'projects/p'"),
            CredentialsError,
            Reach.ACCOUNT,
            "docs/providers/gcp.md",
        ),
        (
            refused(403, "forbidden", "No.", details=info("IAM_PERMISSION_DENIED")),
            CredentialsError,
            Reach.ACCOUNT,
            "docs/providers/gcp.md",
        ),
        (
            refused(
                403,
                "forbidden",
                "Location us violates constraint constraints/gcp.resourceLocations.",
            ),
            ProviderError,
            Reach.LOCATION,
            "choose regions",
        ),
        (
            refused(
                412, "conditionNotMet", "Constraint constraints/compute.requireShieldedVm violated"
            ),
            ProviderError,
            Reach.ACCOUNT,
            "secure_boot = true",
        ),
        (
            refused(412, "conditionNotMet", "Constraint constraints/compute.ofNextYear violated"),
            ProviderError,
            Reach.LOCATION,
            "organization's policies",
        ),
        (
            refused(412, "conditionNotMet", "Denied by [customConstraints/custom.smallOnly]"),
            ProviderError,
            Reach.OFFER,
            "another size",
        ),
        (
            refused(401, "required", "Login Required."),
            CredentialsError,
            Reach.ACCOUNT,
            "gcloud auth",
        ),
        (refused(400, "required", "Required parameter: x"), ProviderError, Reach.OFFER, ""),
        (
            refused(
                403, "rateLimitExceeded", "Queries per minute", details=info("RATE_LIMIT_EXCEEDED")
            ),
            ThrottledError,
            Reach.LOCATION,
            "",
        ),
        (
            operation(
                {"code": "PERMISSIONS_ERROR", "message": "Required 'compute.images.useReadOnly'"}
            ),
            CredentialsError,
            Reach.ACCOUNT,
            "docs/providers/gcp.md",
        ),
        (
            operation({"code": "INTERNAL_ERROR", "message": "Internal error. (Code: '1A')"}),
            ProviderError,
            Reach.OFFER,
            "",
        ),
        (
            operation({"code": "IP_SPACE_EXHAUSTED", "message": "IP space of 'x' is exhausted."}),
            CapacityError,
            Reach.LOCATION,
            "",
        ),
        (
            operation(
                {
                    "code": "CONDITION_NOT_MET",
                    "message": "Constraint constraints/compute.vmExternalIpAccess violated for 1.",
                }
            ),
            ProviderError,
            Reach.ACCOUNT,
            'address = "private"',
        ),
        (
            operation(
                {
                    "code": "QUOTA_EXCEEDED",
                    "message": "Quota 'CPUS_PER_VM_FAMILY' exceeded.  Limit: 0.0",
                }
            ),
            QuotaError,
            Reach.FAMILY,
            "Quotas",
        ),
        (
            operation({"code": "QUOTA_EXCEEDED", "message": "Quota 'NVIDIA_L4_GPUS' exceeded."}),
            QuotaError,
            Reach.FAMILY,
            "Quotas",
        ),
    ],
)
def test_a_refusal_is_what_it_is(
    error: ProviderError, kind: type[ProviderError], reach: Reach, hint: str
) -> None:
    assert (type(error), error.reach) == (kind, reach)
    assert hint in str(error.hint or "")
    assert "permissions needed" not in str(error.hint) or "gcp.md" in hint


def test_what_the_details_of_an_error_add_is_told() -> None:
    words = "A c3-standard-8 VM instance is currently unavailable in the us-east4-b zone."
    details = [
        {"help": {"links": [{"description": "Troubleshooting", "url": "https://x"}]}},
        {"localizedMessage": {"locale": "en-US", "message": words}},
        {
            "errorInfo": {
                "domain": "compute.googleapis.com",
                "reason": "resource_availability",
                "metadatas": {"vmType": "c3-standard-8", "zonesAvailable": "us-east4-a,us-east4-c"},
            }
        },
    ]
    code, message = "ZONE_RESOURCE_POOL_EXHAUSTED", "The zone does not have enough resources."
    error = operation({"code": code, "message": message, "errorDetails": details})
    assert type(error) is CapacityError
    assert error.message == (
        f"{CALL}: {code}: {message} {words} zones that have some now: us-east4-a,us-east4-c"
    )
    empty = [{"errorInfo": {"metadatas": {"zonesAvailable": ""}}}, {"localizedMessage": {}}]
    error = operation({"code": code, "message": message, "errorDetails": empty})
    assert error.message == f"{CALL}: {code}: {message}"


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("INTERNAL_ERROR", "Internal error. Please try again. (Code: 'A.B')"),
        Trouble("IP_SPACE_EXHAUSTED_WITH_DETAILS", "IP space of 'projects/p/x' is exhausted."),
    ],
)
def test_one_candidate_that_fails_leaves_the_others(
    make: MakeProvider, lab: GcpLab, trouble: Trouble
) -> None:
    lab.faults.limit(0, zone="us-central1-a", trouble=trouble)
    provider = make()
    with pytest.raises(ProviderError) as caught:
        provider.create(offer(), batch())
    assert caught.value.reach in (Reach.OFFER, Reach.LOCATION)
    assert provider.create(offer("us-central1-b"), batch(token="token-1")).nodes
