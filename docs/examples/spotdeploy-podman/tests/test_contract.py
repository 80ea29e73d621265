"""The contract, as one of this package's tests."""

from spotdeploy_podman.contract import TestPodmanContract

__all__ = ["TestPodmanContract"]
