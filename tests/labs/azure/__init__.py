"""An Azure that runs on this computer, for tests."""

from tests.labs.azure.lab import AzureLab
from tests.labs.azure.machine_lab import AzureMachineLab

__all__ = ["AzureLab", "AzureMachineLab"]
