"""The GCP lab: `with GcpLab(folder) as lab: ...`, or `MachineLab` with machines behind it."""

from tests.labs.gcp.lab import GcpLab
from tests.labs.gcp.machine_lab import MachineLab

__all__ = ["GcpLab", "MachineLab"]
