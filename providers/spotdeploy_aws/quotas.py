"""How many virtual CPUs the account may run, beside what a run needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from spotdeploy import labels as names
from spotdeploy.errors import ProviderError
from spotdeploy.model import Market, Problem
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.nodes import find
from spotdeploy_aws.offers import Images, family
from spotdeploy_aws.parallel import together
from spotdeploy_aws.schemas import Record, tags, text

QUOTAS: Final = {
    (Market.SPOT, "standard"): "L-34B43A08",
    (Market.SPOT, "g"): "L-3819A6DF",
    (Market.SPOT, "p"): "L-7212CCBC",
    (Market.SPOT, "p5"): "L-C4BD4855",
    (Market.SPOT, "f"): "L-88CF9481",
    (Market.SPOT, "dl"): "L-85EED4F7",
    (Market.SPOT, "inf"): "L-B5D1601B",
    (Market.SPOT, "trn"): "L-6B0D517C",
    (Market.SPOT, "x"): "L-E3A00192",
    (Market.ON_DEMAND, "standard"): "L-1216C47A",
    (Market.ON_DEMAND, "g"): "L-DB2E81BA",
    (Market.ON_DEMAND, "p"): "L-417A185B",
    (Market.ON_DEMAND, "f"): "L-74FC7D96",
    (Market.ON_DEMAND, "dl"): "L-6E869C2A",
    (Market.ON_DEMAND, "hpc"): "L-F7808C92",
    (Market.ON_DEMAND, "inf"): "L-1945791B",
    (Market.ON_DEMAND, "trn"): "L-2C3B7624",
    (Market.ON_DEMAND, "u"): "L-43DA4232",
    (Market.ON_DEMAND, "x"): "L-7295265B",
}
"""The codes that Service Quotas has for EC2, each of which counts vCPUs:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html link each
quota by its code. HPC and high memory (u) have none for spot: of what is not here nothing is known
before the launch."""
COUNTED: Final = ("pending", "running")
_OLD_P: Final = re.compile(r"p[234]")


class Quotas:
    """The quotas of one region. Each is asked for once."""

    def __init__(self, api: Api, images: Images) -> None:
        """Calls nothing. `images` knows the sizes."""
        self._api = api
        self._images = images
        self._limits: dict[str, tuple[float, str] | None] = {}

    def shortages(
        self,
        sizes: Sequence[str],
        markets: Sequence[Market],
        count: int,
        others: Callable[[], Sequence[Record]],
        *,
        fatal: bool,
    ) -> list[Problem]:
        """A problem for each quota without room for `count` nodes, when there is room in none: the
        walk goes on to another size or market while there is some.

        `others` lists the instances that go on to run meanwhile; it is called when the quotas are
        known. Silent where they may not be asked.
        """
        codes = {(market, size): _quota(market, size) for market in markets for size in sizes}
        limits = self._ask(sorted({code for code in codes.values() if code}))
        if set(limits) != set(codes.values()):
            return []
        running = others()
        self._images.learn(one["InstanceType"] for one in running)
        short = []
        for code, (limit, name) in limits.items():
            counted = [size for (_, size), its in codes.items() if its == code]
            needed = count * min(self._images.vcpus(size) for size in counted)
            used = sum(self._images.vcpus(size) for size in _sizes_of(running, code))
            free = max(0.0, limit - used)
            if needed <= free:
                return []
            what = f"quota {name!r} in {self._api.region} has room for {free:g} of {limit:g} vCPUs"
            remedy = f"ask for more of {code} under 'Service Quotas', Amazon EC2; or smaller nodes"
            short.append(Problem(f"{what}, and this run needs {needed:g}", remedy, fatal=fatal))
        return short

    def _ask(self, codes: Sequence[str]) -> dict[str, tuple[float, str]]:
        """Quota to its vCPUs and its name, of those that are told."""
        new = [code for code in codes if code not in self._limits]
        found = together([partial(_limit, self._api, code) for code in new])
        self._limits |= dict(zip(new, found, strict=True))
        return {code: told for code in codes if (told := self._limits[code])}


def running(api: Api, *, without: str | None = None) -> list[Record]:
    """The instances of the region that quotas count; not those of the deployment `without`, which
    end before a run begins."""
    found = find(api, criteria={"instance-state-name": COUNTED})
    return [one for one in found if not without or tags(one).get(names.DEPLOYMENT) != without]


def _quota(market: Market, size: str) -> str | None:
    kind = family(size)
    if kind == "p" and market is Market.SPOT and not _OLD_P.match(size):
        kind = "p5"
    return QUOTAS.get((market, kind))


def _sizes_of(instances: Iterable[Record], code: str) -> Iterator[str]:
    """The sizes of those that a quota counts."""
    for one in instances:
        if _quota(_market(one), one["InstanceType"]) == code:
            yield one["InstanceType"]


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
