"""The GCP lab: `with GcpLab(folder) as lab: ...`, or `GcpMachineLab` with machines behind it."""

from tests.labs.gcp.lab import GcpLab
from tests.labs.gcp.machine_lab import GcpMachineLab

__all__ = ["GcpLab", "GcpMachineLab"]
