"""The GCP lab: `with GcpLab(folder) as lab: ...`."""

from tests.labs.gcp.lab import GcpLab

__all__ = ["GcpLab"]
