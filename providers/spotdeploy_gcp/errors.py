"""Google's error codes, sorted by what the caller does next.

Of refused calls: https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-bulk-vm-creation
and https://cloud.google.com/compute/docs/api/rate-limits; of operations:
https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.refusals import ErrorTable
from spotdeploy_gcp.schemas import OperationError

LOGIN: Final = "gcloud auth application-default login"
PERMISSIONS: Final = "the permissions needed are listed in docs/providers/gcp.md"
MORE_QUOTA: Final = "ask for more under 'IAM & Admin', 'Quotas' in the console"
BILLING: Final = "link the project to an open billing account under 'Billing' in the console"
ENABLE: Final = "run 'gcloud services enable compute.googleapis.com', then wait a minute"
CODES: Final = ErrorTable(
    capacity=frozenset(
        {
            "CapacityExceeded",
            "IP_SPACE_EXHAUSTED",
            "IP_SPACE_EXHAUSTED_WITH_DETAILS",
            "REGION_RESOURCE_POOL_EXHAUSTED",
            "RESOURCE_POOL_EXHAUSTED",
            "STOCKOUT",
            "UNSUPPORTED_OPERATION",
            "VM_MIN_COUNT_NOT_REACHED",
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            "insufficientCapacity",
            "stockout",
        }
    ),
    quota=frozenset({"LIMIT_EXCEEDED", "QUOTA_EXCEEDED", "limitExceeded", "quotaExceeded"}),
    credentials=frozenset(
        {
            "ACCESS_TOKEN_EXPIRED",
            "PERMISSIONS_ERROR",
            "PERMISSION_DENIED",
            "SERVICE_DISABLED",
            "UNAUTHENTICATED",
            "accessNotConfigured",
            "authError",
            "billingNotEnabled",
            "forbidden",
        }
    ),
    throttled=frozenset(
        {
            "RATE_LIMIT_EXCEEDED",
            "RESOURCE_EXHAUSTED",
            "RESOURCE_OPERATION_RATE_EXCEEDED",
            "backendError",
            "concurrentOperations",
            "internalError",
            "rateLimitExceeded",
            "resourceNotReady",
            "userRateLimitExceeded",
        }
    ),
    hints={
        "ACCESS_TOKEN_EXPIRED": f"run '{LOGIN}'",
        "BILLING_DISABLED": BILLING,
        "PERMISSIONS_ERROR": PERMISSIONS,
        "QUOTA_EXCEEDED": MORE_QUOTA,
        "SERVICE_DISABLED": ENABLE,
        "UNAUTHENTICATED": f"run '{LOGIN}'",
        "accessNotConfigured": ENABLE,
        "authError": f"run '{LOGIN}'",
        "billingNotEnabled": BILLING,
        "PERMISSION_DENIED": PERMISSIONS,
        "forbidden": PERMISSIONS,
        "quotaExceeded": MORE_QUOTA,
    },
    reach={
        "CONDITION_NOT_MET": Reach.LOCATION,
        "IP_SPACE_EXHAUSTED": Reach.LOCATION,
        "IP_SPACE_EXHAUSTED_WITH_DETAILS": Reach.LOCATION,
        "REGION_RESOURCE_POOL_EXHAUSTED": Reach.LOCATION,
        "conditionNotMet": Reach.LOCATION,
    },
)

UNKNOWN_OUTCOME: Final = frozenset({"backendError", "internalError"})
"""After these a create call may have taken effect all the same."""
MISSING: Final = frozenset({"notFound", "RESOURCE_NOT_FOUND", "NOT_FOUND"})
"""No such thing."""
EXISTS: Final = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"})
"""A thing of that name exists."""
FORBIDDEN: Final = frozenset({"IAM_PERMISSION_DENIED", "PERMISSION_DENIED", "forbidden"})
"""These credentials lack a permission."""
IN_USE: Final = frozenset(
    {
        "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
        "RESOURCE_NOT_READY",
        "resourceInUseByAnotherResource",
        "resourceNotReady",
    }
)
"""Still used by something that is going: left for the next try."""
SUMMARY: Final = "VM_MIN_COUNT_NOT_REACHED"
"""Says that a bulk insert failed, and not why; the cause is in another error."""
POLICY: Final = "ask who manages the organization's policies"
POLICIES: Final = {
    "compute.disableGlobalSelfServiceResources": "ask for an exception",
    "compute.requireOsLogin": "take os_login out of [provider.gcp]",
    "compute.requireShieldedVm": "set secure_boot = true under [provider.gcp]",
    "compute.storageResourceUseRestrictions": "choose an image of a project that it allows",
    "compute.trustedImageProjects": "choose an image of a project that it allows",
    "compute.vmExternalIpAccess": 'set address = "private" under [provider.gcp]',
    "gcp.resourceLocations": "choose regions that it allows",
}
"""Constraint of an organization's policy to what a person does about it:
https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints"""
_CONSTRAINT: Final = re.compile(r"\bconstraints/([\w.]+\w)")
_CUSTOM: Final = re.compile(r"\bcustomConstraints/(custom\.\w+)")
_NO_BILLING: Final = re.compile(r"requires billing|[Bb]illing (account|is disabled|has not been)")
_NOT_FOUND: Final = re.compile(r"\b(cannot be|was not|not) found\b")
_METRIC: Final = re.compile(r"[Qq]uota '(\w+)' exceeded")
_NO_PROJECT: Final = re.compile(r"'projects/[^/']+'")


def refused(code: str, message: str, status: int, call: str) -> ProviderError:
    """The typed error for a refused call."""
    error = _typed(code, message, status, call)
    if isinstance(error, CredentialsError) and error.hint is None:
        error.hint = PERMISSIONS if status == 403 else f"run '{LOGIN}'"
    if code in MISSING and _NO_PROJECT.search(message):
        error.hint = "check provider.gcp.project, and that these credentials may see it"
    return error


def failed(errors: Sequence[OperationError], call: str) -> ProviderError:
    """The typed error for a failed operation: of the kind of its most telling error, with the
    messages of all.

    A quota says more than a lack of capacity, and any cause more than the summary of a bulk
    insert.
    """
    if not errors:
        return ProviderError(f"{call}: nothing was made, and Google does not say why")
    typed = [_typed(one.code, one.message, 0, call) for one in errors]
    best = min(typed, key=lambda error: (error.code == SUMMARY, _rank(error)))
    return type(best)(
        f"{call}: {message_of(errors)}", code=best.code, hint=best.hint, reach=best.reach
    )


def is_missing_image(error: ProviderError) -> bool:
    """Whether an image is not there: the code says so, or the words beside a vague one do."""
    named = "/images/" in error.message or "sourceImage" in error.message
    return named and (error.code in MISSING or bool(_NOT_FOUND.search(error.message)))


def family(size: str) -> str:
    """Which sizes one quota counts together: those of a series, as in "n2"; the oldest and the
    shared ones are together in "cpus". https://cloud.google.com/compute/resource-usage#cpu_quota
    """
    series = size.partition("-")[0]
    return "cpus" if series in {"e2", "f1", "g1", "n1"} else series


def _typed(code: str, message: str, status: int, call: str) -> ProviderError:
    error = CODES.error(code, message, status, call)
    if constraint := _CONSTRAINT.search(message):
        return _of_policy(error, constraint[1])
    if constraint := _CUSTOM.search(message):
        return ProviderError(error.message, code=code, hint=f"{POLICY}, or choose another size")
    if _NO_BILLING.search(message) and not isinstance(error, ThrottledError):
        return CredentialsError(error.message, code=code, hint=BILLING)
    metric = _METRIC.search(message)
    if isinstance(error, QuotaError) and metric:
        error.reach = _reach_of(metric[1])
    return error


def _of_policy(error: ProviderError, constraint: str) -> ProviderError:
    """A refusal by a policy of the organization. One about places reaches the region, one that is
    not known may be about anything, and the others are the same everywhere."""
    hint = f"{POLICY}, or {POLICIES[constraint]}" if constraint in POLICIES else POLICY
    near = constraint == "gcp.resourceLocations" or constraint not in POLICIES
    reach = Reach.LOCATION if near else Reach.ACCOUNT
    return ProviderError(error.message, code=error.code, hint=hint, reach=reach)


def _reach_of(metric: str) -> Reach:
    """How far a quota's refusal reaches; the names are those of `Quota.metric` in the discovery
    document: https://www.googleapis.com/discovery/v1/apis/compute/v1/rest"""
    if metric == "CPUS_ALL_REGIONS":
        return Reach.ACCOUNT
    if metric == "PREEMPTIBLE_CPUS":
        return Reach.MARKET
    of_family = metric.endswith(("CPUS", "GPUS", "_PER_VM_FAMILY", "_PER_GPU_FAMILY"))
    return Reach.FAMILY if of_family or metric.startswith("HDB_") else Reach.LOCATION


def message_of(errors: Sequence[OperationError]) -> str:
    """Google's own messages, each once, the cause before the summary."""
    ordered = sorted(errors, key=lambda one: one.code == SUMMARY)
    return "; ".join(dict.fromkeys(f"{one.code}: {one.explained}" for one in ordered))


def _rank(error: ProviderError) -> int:
    return next(
        (rank for rank, kind in enumerate((QuotaError, CapacityError)) if type(error) is kind), 2
    )
