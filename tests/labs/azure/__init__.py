"""An Azure that runs on this computer, for tests."""

from tests.labs.azure.lab import AzureLab

__all__ = ["AzureLab"]
