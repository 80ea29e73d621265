"""Google's price list of Compute Engine, as far as it is asked for.

https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.labs.gcp.call import GoogleError, Json, Reply, answer

SKUS = "/v1/services/6F81-5844-456A/skus"


def price_list(skus: Sequence[Json] | None, query: Mapping[str, str]) -> Reply:
    """A page; None is a project that has not enabled the API."""
    if skus is None:
        words = "Cloud Billing API has not been used in project 42 before or it is disabled."
        return GoogleError(403, "accessNotConfigured", words).reply()
    start, size = int(query.get("pageToken") or 0), int(query.get("pageSize", "5000"))
    more = {"nextPageToken": str(start + size)} if start + size < len(skus) else {}
    return answer({"skus": list(skus[start : start + size]), **more})


def sku(
    description: str, regions: Sequence[str], usd: float, *, usage: str = "", unit: str = ""
) -> Json:
    """One entry. How it is used and counted follows from what it is called, unless it is given."""
    spot = "Preemptible" in description
    nanos = round((usd % 1) * 1e9)
    price = {"currencyCode": "USD", "units": str(int(usd)), "nanos": nanos}
    counted = unit or ("GiBy.h" if " Ram " in description else "h")
    expression = {
        "usageUnit": counted,
        "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}],
    }
    return {
        "name": f"services/6F81-5844-456A/skus/{abs(hash(description)):X}",
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": "RAM" if " Ram " in description else "CPU",
            "usageType": usage or ("Preemptible" if spot else "OnDemand"),
        },
        "serviceRegions": list(regions),
        "pricingInfo": [{"pricingExpression": expression, "currencyConversionRate": 1}],
        "serviceProviderName": "Google",
    }
