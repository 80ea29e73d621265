"""Azure's error codes, sorted by what the caller does next.

https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/common-deployment-errors,
https://learn.microsoft.com/en-us/troubleshoot/azure/virtual-machines/windows/allocation-failure and
https://learn.microsoft.com/en-us/azure/virtual-machines/error-codes-spot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.refusals import ErrorTable
from spotdeploy_azure.schemas import ErrorDetail, RefusalBody

HOW: Final = (
    "run 'az login'; or 'az ad sp create-for-rbac' once, and set AZURE_TENANT_ID, AZURE_CLIENT_ID "
    "and AZURE_CLIENT_SECRET to what it prints"
)
"""Where credentials come from."""
PERMISSIONS: Final = "the permissions needed are listed in docs/providers/azure.md"
MORE_QUOTA: Final = (
    "ask for more under 'Quotas', Compute, in the portal, or choose another location"
)
RENEW: Final = "run 'az ad app credential reset --id $AZURE_CLIENT_ID' for a new secret"
SUBSCRIPTION: Final = (
    "check AZURE_SUBSCRIPTION_ID or provider.azure.subscription, and that the service principal "
    "has a role in it"
)
REGISTER: Final = (
    "run 'az provider register --namespace NAME' for Microsoft.Compute, Microsoft.Network and "
    "Microsoft.DevTestLab, then wait some minutes"
)
POLICY: Final = "RequestDisallowedByPolicy"
"""403, and no matter of rights: https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy"""
GENERATION: Final = "cannot boot hypervisor generation"
"""In the message of a BadRequest: https://learn.microsoft.com/en-us/azure/virtual-machines/generation-2"""
OTHER_IMAGE: Final = "choose an image of the size's generation, or another size"
CODES: Final = ErrorTable(
    capacity=frozenset(
        {
            "AllocationFailed",
            "AllocationFailure",
            "AllocationTimedOut",
            "AzureSpotFeatureNotEnabledForSubscription",
            "AzureSpotIsNotSupportedForThisVMSize",
            "Deleting",
            "Gone",
            "NotAvailableForSubscription",
            "OperationPreempted",
            "OverconstrainedAllocationRequest",
            "OverconstrainedZonalAllocationRequest",
            "RequestDisallowedByAzure",
            "SkuNotAvailable",
            "SpotPriceGreaterThanProvidedMaxPrice",
            "ZonalAllocationFailed",
        }
    ),
    quota=frozenset(
        {
            "IPv4StandardSkuPublicIpCountLimitReached",
            "PublicIPCountLimitReached",
            "PublicIpAddressCountLimitReached",
            "QuotaExceeded",
            "ResourceQuotaExceeded",
            "SubscriptionIsOverQuotaForSku",
        }
    ),
    credentials=frozenset(
        {
            "AuthenticationFailed",
            "AuthorizationFailed",
            "ExpiredAuthenticationToken",
            "InvalidAuthenticationToken",
            "InvalidAuthenticationTokenTenant",
            "InvalidSubscriptionId",
            "LinkedAuthorizationFailed",
            "MissingSubscriptionRegistration",
            "ReadOnlyDisabledSubscription",
            "SubscriptionNotFound",
            "SubscriptionNotRegistered",
            "invalid_client",
            "invalid_request",
            "unauthorized_client",
        }
    ),
    throttled=frozenset(
        {
            "AnotherOperationInProgress",
            "InternalServerError",
            "ResourceGroupBeingDeleted",
            "RetryableError",
            "ServerTimeout",
            "ServiceUnavailable",
            "SubscriptionRequestsThrottled",
            "TooManyRequests",
        }
    ),
    hints={
        "AuthorizationFailed": PERMISSIONS,
        "AzureSpotFeatureNotEnabledForSubscription": "use a subscription whose offer has Spot",
        "ExpiredAuthenticationToken": "set this computer's clock, then try again",
        "InvalidAuthenticationTokenTenant": "check AZURE_TENANT_ID: the subscription is elsewhere",
        "InvalidSubscriptionId": SUBSCRIPTION,
        "LinkedAuthorizationFailed": PERMISSIONS,
        "MissingSubscriptionRegistration": REGISTER,
        "PublicIPCountLimitReached": MORE_QUOTA,
        "QuotaExceeded": MORE_QUOTA,
        "ReadOnlyDisabledSubscription": "enable the subscription again in the portal",
        "ScopeLocked": "remove the lock with 'az lock delete', then try again",
        POLICY: "satisfy the policy that the message names; tags that it asks for go under "
        "provider.azure.tags, and are put on all that is made",
        "SubscriptionNotFound": SUBSCRIPTION,
        "SubscriptionNotRegistered": REGISTER,
        "invalid_client": RENEW,
        "RequestDisallowedByAzure": "choose another location, or ask Azure's support for this one",
    },
    reach={
        "AzureSpotFeatureNotEnabledForSubscription": Reach.MARKET,
        "NotAvailableForSubscription": Reach.SIZE,
        "RequestDisallowedByAzure": Reach.LOCATION,
    },
)

UNKNOWN_OUTCOME: Final = frozenset({"InternalServerError", "ServerTimeout", "ServiceUnavailable"})
"""After these a create call may have taken effect all the same."""
NOT_FOUND: Final = "ResourceGroupNotFound"
NO_GROUP: Final = frozenset({NOT_FOUND})
MISSING: Final = frozenset({"DeploymentNotFound", "NotFound", "ResourceNotFound"}) | NO_GROUP
"""No such thing."""
GOING: Final = frozenset({"ResourceGroupBeingDeleted", "ResourceGroupDeletionBlocked"})
ACTIVE: Final = frozenset({"DeploymentActive", "DeploymentBeingCreated"})
"""A deployment of that name is under way."""
OVER: Final = frozenset({"DeploymentCannotBeCancelled", "DeploymentCannotBeCanceled"})
"""A deployment that is over cannot be cancelled."""
LOG_IN: Final = "run 'az login' again"
TRUST: Final = (
    "give the application a federated credential with the issuer, subject and audience that the "
    "message names: 'az ad app federated-credential create --id $AZURE_CLIENT_ID --parameters FILE'"
)
ENABLE: Final = (
    "enable it: 'az ad sp update --id $AZURE_CLIENT_ID --set accountEnabled=true', as an "
    "administrator of the tenant"
)
LET_IN: Final = (
    "a Conditional Access policy of the tenant keeps it out: run from a network that the policy "
    "allows, or have an administrator leave this identity out of it"
)
_NUMBER: Final = re.compile(r"AADSTS\d+")
_OVER_QUOTA: Final = ("quota", "limit")
_LOGIN: Final = {
    "AADSTS50076": LOG_IN,
    "AADSTS50078": LOG_IN,
    "AADSTS50079": LOG_IN,
    "AADSTS50173": LOG_IN,
    "AADSTS53003": LET_IN,
    "AADSTS70021": TRUST,
    "AADSTS70043": LOG_IN,
    "AADSTS700082": LOG_IN,
    "AADSTS700211": TRUST,
    "AADSTS700212": TRUST,
    "AADSTS700213": TRUST,
    "AADSTS7000112": ENABLE,
    "AADSTS7000215": RENEW,
    "AADSTS7000222": RENEW,
    "AADSTS700016": "check AZURE_CLIENT_ID and AZURE_TENANT_ID: no such application is there",
    "AADSTS700024": "have the federated token made anew, or set this computer's clock",
    "AADSTS700027": "give the application the certificate's public part",
    "AADSTS90002": "check AZURE_TENANT_ID",
    "AADSTS900023": "check AZURE_TENANT_ID",
}
"""https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"""


def refusal(body: str, status: int, call: str) -> ProviderError:
    """The typed error for the body of a refused call."""
    try:
        detail = msgspec.json.decode(body, type=RefusalBody).error
    except msgspec.DecodeError:
        message = " ".join(body.split())[:200] or "no message"
        return _typed(ErrorDetail(code=f"HTTP {status}", message=message), status, call)
    return most_telling([detail], status, call)


def most_telling(details: Sequence[ErrorDetail], status: int, call: str) -> ProviderError:
    """The typed error for the most telling cause, with the messages of all.

    A quota says more than a lack of capacity, and both say more than that a deployment failed.
    """
    causes = list(innermost(details)) or [
        ErrorDetail(code="Unknown", message="Azure does not say why")
    ]
    typed = [_typed(cause, status, call) for cause in causes]
    kinds = (CredentialsError, QuotaError, CapacityError, ThrottledError, ProviderError)
    best = next(error for kind in kinds for error in typed if isinstance(error, kind))
    return type(best)(
        f"{call}: {message_of(causes)}", code=best.code, hint=best.hint, reach=best.reach
    )


def message_of(causes: Sequence[ErrorDetail]) -> str:
    """Azure's own messages, each once."""
    return "; ".join(dict.fromkeys(_one_message(cause) for cause in causes))


def innermost(details: Sequence[ErrorDetail]) -> Iterator[ErrorDetail]:
    """The innermost causes. Some are inside `details`, some are JSON inside a message:
    https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/find-error-code
    """
    for one in details:
        inner = list(one.details or ()) + _inside_message(one.message or "")
        if inner:
            yield from innermost(inner)
        else:
            yield one


def login_hint(description: str) -> str | None:
    """What to do about a refused login, by the number in its message."""
    found = _NUMBER.search(description)
    return _LOGIN.get(found[0]) if found else None


def _inside_message(message: str) -> list[ErrorDetail]:
    if not message.lstrip().startswith("{"):
        return []
    try:
        return [msgspec.json.decode(message, type=RefusalBody).error]
    except msgspec.DecodeError:
        return []


def _typed(cause: ErrorDetail, status: int, call: str) -> ProviderError:
    text = (cause.message or "").lower()
    if cause.code == POLICY:
        error: ProviderError = ProviderError(call, code=POLICY, hint=CODES.hints[POLICY])
    elif GENERATION in text:
        error = CapacityError(call, code=cause.code, hint=OTHER_IMAGE, reach=Reach.SIZE)
    elif cause.code == "OperationNotAllowed" and any(word in text for word in _OVER_QUOTA):
        error = QuotaError(call, code=cause.code, hint=MORE_QUOTA)
    else:
        error = CODES.error(cause.code, cause.message or "no message", status, call)
    if isinstance(error, QuotaError):
        error.reach = _reach_of_quota(text)
    return error


def _reach_of_quota(text: str) -> Reach:
    """How far a quota's refusal reaches, by the quota that the message names:
    https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/error-resource-quota
    """
    if "lowprioritycores" in text or "regional cores" in text:
        return Reach.MARKET
    return Reach.FAMILY if "family" in text else Reach.LOCATION


def _one_message(cause: ErrorDetail) -> str:
    text = " ".join((cause.message or "no message").split())
    if cause.target and cause.target.lower() not in text.lower():
        text = f"{cause.target.rpartition('/')[2]}: {text}"
    return f"{cause.code}: {text}" if cause.code else text
