"""The contract's lab for the fake provider is shipped with it."""

from spotdeploy.testing.fake.contract import TestFakeContract as Contract

__all__ = ["Contract"]
