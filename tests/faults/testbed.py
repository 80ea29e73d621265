"""Where faults happen: a user's project, and a cloud that can be asked what is left."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from spotdeploy.model import Verdict
from spotdeploy.testing import FakeCloud
from spotdeploy.testing.fake.store import FileStore
from tests.cycles.project import Project
from tests.faults.launcher import How

TOKEN = "DEMO_TOKEN"
IMPATIENT = "3s"
"""A destroy that cannot succeed need not be waited for as long as one that can."""


class Testbed(ABC):
    """One cloud and one project on it, for one case. A context manager."""

    healthy: ClassVar[Verdict] = Verdict.PASSED
    """How a cycle ends here when nothing goes wrong. Its nodes are never kept."""
    project: Project
    how: How = How()
    """How the project's commands are run when nothing is done to them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what the testbed holds; nothing here."""
        return

    def __init__(self) -> None:
        self.canary = f"canary-{secrets.token_hex(12)}"

    @property
    def secrets(self) -> Sequence[str]:
        """What no output and no file of a run may show."""
        return (self.canary,)

    @property
    def wrong(self) -> Sequence[str]:
        """Requests that the cloud would not have taken, and bystanders that were harmed."""
        return ()

    @abstractmethod
    def heal(self) -> None:
        """Let all go well from now on; what exists stays."""

    @abstractmethod
    def remains(self) -> list[str]:
        """What exists, asked of the cloud itself and past our code."""

    def confide(self) -> None:
        """Give the payload a secret, which it prints."""
        self.project.config["payload"]["environment"] = {TOKEN: self.canary}
        self.project.entry(f"echo deployed ${TOKEN}")


class FakeTestbed(Testbed):
    """The fake cloud. Its nodes never answer, so a cycle in which nothing else goes wrong ends
    with an infrastructure that failed."""

    healthy = Verdict.INFRASTRUCTURE_FAILED

    def __init__(self, folder: Path) -> None:
        super().__init__()
        state = folder / "cloud.json"
        self.cloud = FakeCloud(FileStore(state))
        self.table: dict[str, object] = {"state": str(state)}
        self.project = Project(folder / "project", "faulty")
        self.project.config |= {
            "providers": ["fake"],
            "keep": "never",
            "nodes": {"count": 2},
            "timeouts": {"boot": "1s", "destroy": "20s"},
            "provider": {"fake": self.table},
        }
        self.confide()

    def heal(self) -> None:
        """See `Testbed`."""
        self.cloud.heal()

    def remains(self) -> list[str]:
        """See `Testbed`."""
        return self.cloud.billed()
