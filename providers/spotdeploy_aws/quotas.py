"""How many virtual CPUs the account may run, beside what a run needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Market, Problem
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.cloud import Cloud
from spotdeploy_aws.nodes import find
from spotdeploy_aws.offers import family
from spotdeploy_aws.parallel import together
from spotdeploy_aws.schemas import Record, filters, tags, text

QUOTAS: Final = {
    (Market.SPOT, "standard"): "L-34B43A08",
    (Market.SPOT, "g"): "L-3819A6DF",
    (Market.SPOT, "p"): "L-7212CCBC",
    (Market.SPOT, "p5"): "L-C4BD4855",
    (Market.SPOT, "f"): "L-88CF9481",
    (Market.SPOT, "inf"): "L-B5D1601B",
    (Market.SPOT, "x"): "L-E3A00192",
    (Market.ON_DEMAND, "standard"): "L-1216C47A",
    (Market.ON_DEMAND, "g"): "L-DB2E81BA",
    (Market.ON_DEMAND, "p"): "L-417A185B",
    (Market.ON_DEMAND, "f"): "L-74FC7D96",
    (Market.ON_DEMAND, "inf"): "L-1945791B",
    (Market.ON_DEMAND, "x"): "L-7295265B",
}
"""The codes that Service Quotas has for EC2, each of which counts vCPUs:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html. Of families that
are not here nothing is known before the launch."""
COUNTED: Final = ("pending", "running")
_OLD_P: Final = re.compile(r"p[234]")


def shortages(
    cloud: Cloud,
    sizes: Sequence[str],
    markets: Sequence[Market],
    count: int,
    deployment: str | None,
    *,
    fatal: bool,
) -> list[Problem]:
    """A problem for each quota without room for `count` nodes, when there is room in none: the walk
    goes on to another size or market while there is some.

    What the nodes of `deployment` use counts as free. Silent where the quotas may not be asked.
    """
    api, codes = cloud.api, _codes(sizes, markets)
    limits = _limits(api, sorted(set(codes.values())))
    if not codes or set(limits) != set(codes.values()):
        return []
    others = [
        one
        for one in find(api, criteria={"instance-state-name": COUNTED})
        if deployment is None or tags(one).get(names.DEPLOYMENT) != deployment
    ]
    vcpus = _vcpus(api, {*sizes, *(one["InstanceType"] for one in others)})
    short = []
    for code, (limit, name) in limits.items():
        counted = [one for one in others if _quota(_market(one), one["InstanceType"]) == code]
        used = sum(vcpus.get(one["InstanceType"], 0) for one in counted)
        least = min(vcpus.get(size, 0) for (_, size), its in codes.items() if its == code)
        free = max(0.0, limit - used)
        if count * least <= free:
            return []
        what = f"quota {name!r} in {api.region} has room for {free:g} of {limit:g} vCPUs"
        what += f", and this run needs {count * least:g}"
        remedy = (
            f"ask for more of {code} under 'Service Quotas', Amazon EC2; or fewer, smaller nodes"
        )
        short.append(Problem(what, remedy, fatal=fatal))
    return short


def _codes(sizes: Sequence[str], markets: Sequence[Market]) -> dict[tuple[Market, str], str]:
    """Market and size to the quota. Empty when one has a quota that is not known: there may be
    room."""
    found = {(market, size): _quota(market, size) for market in markets for size in sizes}
    known = {key: code for key, code in found.items() if code}
    return known if len(known) == len(found) else {}


def _quota(market: Market, size: str) -> str | None:
    kind = family(size)
    if kind == "p" and market is Market.SPOT and not _OLD_P.match(size):
        kind = "p5"
    return QUOTAS.get((market, kind))


def _vcpus(api: Api, sizes: Collection[str]) -> dict[str, int]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VCpuInfo.html"""
    criteria = filters({"instance-type": sorted(sizes)})
    found = api.pages(Action.DESCRIBE_INSTANCE_TYPES, {"Filters": criteria})
    return {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in found}


def _limits(api: Api, codes: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Quota to its vCPUs and its name, of those that are told."""
    found = together([partial(_limit, api, code) for code in codes])
    return {code: told for code, told in zip(codes, found, strict=True) if told}


def _limit(api: Api, code: str) -> tuple[float, str] | None:
    """A quota's value and name. None where it may not be asked, is not told or gets no answer: a
    run needs no right to ask, and the launch tells."""
    try:
        asked = {"ServiceCode": "ec2", "QuotaCode": code}
        quota = api.call(Action.GET_SERVICE_QUOTA, asked)["Quota"]
    except ProviderError:
        return None
    return float(quota["Value"]), text(quota, "QuotaName")


def _market(instance: Record) -> Market:
    return Market.SPOT if instance.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND
