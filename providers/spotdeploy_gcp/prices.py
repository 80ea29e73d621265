"""What a node costs, from libcloud's table of list prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spotdeploy.model import Market
from spotdeploy_gcp.shapes import MachineType

SHARED_CPUS: Final = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
"""How much of a CPU is billed: https://cloud.google.com/compute/docs/general-purpose-machines"""


class Prices:
    """The prices of one region."""

    def __init__(self, region: str, kind: Callable[[str], MachineType | None]) -> None:
        """`kind` gives the machine type of a size, as far as it is known."""
        self._region = region
        self._kind = kind

    def of(self, market: Market, zone: str | None, size: str | None) -> float | None:
        """USD per hour for one node, or None when unknown. Calls nothing.

        Spot prices change, and no part of the API that this provider may call tells them: they
        are unknown.
        """
        kind = self._kind(size) if size and market is Market.ON_DEMAND else None
        if kind is None or zone is None:
            return None
        cpus = SHARED_CPUS.get(kind.name, None if kind.is_shared_cpu else float(kind.guest_cpus))
        family = kind.name.partition("-")[0]
        cpu, ram = self._rate(family, "cpu"), self._rate(family, "ram")
        if cpus is None or cpu is None or ram is None:
            return None
        return round(cpus * cpu + kind.memory_mb / 1024 * ram, 6)

    def _rate(self, family: str, part: str) -> float | None:
        """USD per hour for one CPU or GiB. A 0.0 in the table is unknown, never free."""
        from libcloud.pricing import get_pricing

        table = (get_pricing("compute", "gce_instances") or {}).get(family, {})
        rate = table.get(part, {}).get("on_demand", {}).get(self._region, {}).get("price")
        return float(rate) or None if rate is not None else None
