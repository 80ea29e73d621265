"""What a plugin's author tests with: contracts, a fake cloud with faults, a scripted connection.

Everything here needs pytest only when it is used: `pip install 'spotdeploy[testing]'`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spotdeploy.testing.check_contract import CheckContract as CheckContract
    from spotdeploy.testing.clock import ManualClock as ManualClock
    from spotdeploy.testing.clock import SystemClock as SystemClock
    from spotdeploy.testing.connection import ScriptedConnection as ScriptedConnection
    from spotdeploy.testing.fake.cloud import FakeCloud as FakeCloud
    from spotdeploy.testing.fake.config import FakeConfig as FakeConfig
    from spotdeploy.testing.fake.provider import FakeProvider as FakeProvider
    from spotdeploy.testing.http_cloud import Answer as Answer
    from spotdeploy.testing.http_cloud import Call as Call
    from spotdeploy.testing.http_cloud import HttpCloud as HttpCloud
    from spotdeploy.testing.nodes import VerifiedNode as VerifiedNode
    from spotdeploy.testing.provider_contract import Facts as Facts
    from spotdeploy.testing.provider_contract import Powers as Powers
    from spotdeploy.testing.provider_contract import ProviderContract as ProviderContract

_HOMES: Final = {
    "Answer": "http_cloud",
    "Call": "http_cloud",
    "CheckContract": "check_contract",
    "FakeCloud": "fake.cloud",
    "FakeConfig": "fake.config",
    "FakeProvider": "fake.provider",
    "Facts": "provider_contract",
    "HttpCloud": "http_cloud",
    "ManualClock": "clock",
    "Powers": "provider_contract",
    "ProviderContract": "provider_contract",
    "ScriptedConnection": "connection",
    "SystemClock": "clock",
    "VerifiedNode": "nodes",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that loading the fake provider or the
    pytest plugin costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
