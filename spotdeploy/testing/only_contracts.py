"""A plugin for pytest: of all tests that were found, run those of a contract."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out, and count them as deselected."""
    others = [item for item in items if not _of_contract(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _of_contract(item)]


def _of_contract(item: pytest.Item) -> bool:
    from spotdeploy.testing import CheckContract, ProviderContract

    cls = item.cls if isinstance(item, pytest.Function) else None
    return cls is not None and issubclass(cls, (ProviderContract, CheckContract))
