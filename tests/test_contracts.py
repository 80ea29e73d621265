"""Every provider that is installed with us keeps the contract: a new one is tested by existing.

Where the contract's lab of provider NAME is written: see `tests/providers/README.md`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from spotdeploy.plugins import Plugins
from spotdeploy.testing import ProviderContract

LABS = Path(__file__).parent / "providers"


def providers() -> list[str]:
    """The names of our own providers whose contract is not a test file of its own."""
    ours = [point for point in Plugins().known() if point.dist and point.dist.name == "spotdeploy"]
    names = [point.name for point in ours if hasattr(point.load(), "spotdeploy_register_provider")]
    return [name for name in names if not list(LABS.rglob(f"test_{name}_contract.py"))]


def contract_of(name: str) -> type:
    """The contract of a provider in its lab."""
    module = f"tests.providers.contract_{name}"
    try:
        contract: type = import_module(module).Contract
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return _missing(module)
    assert issubclass(contract, ProviderContract)
    return contract


def _missing(module: str) -> type:
    class Missing:
        def test_there_is_a_lab_for_the_contract(self) -> None:
            pytest.fail(f"write {module.replace('.', '/')}.py, as tests/providers/README.md says")

    return Missing


for _name in providers():
    globals()[f"Test{_name.title()}"] = contract_of(_name)
