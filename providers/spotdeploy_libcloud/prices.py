"""List prices from the table that libcloud ships."""

from __future__ import annotations


def list_price(table: str, size: str, region: str | None = None) -> float | None:
    """The list price of a size in USD per hour, or None when unknown.

    `table` is libcloud's name for the price list, such as "ec2_linux". Its entries of 0.0 are
    sizes whose price libcloud could not find; they are unknown, never free. Reads a file once.
    """
    from libcloud.pricing import get_pricing

    entry = (get_pricing("compute", table) or {}).get(size)
    if isinstance(entry, dict):
        entry = entry.get(region)
    return float(entry) or None if entry is not None else None
