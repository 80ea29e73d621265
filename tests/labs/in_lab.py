"""The real command, run where a lab's machines are."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cycles.project import COMMAND, PATIENCE, Done, Project
from tests.labs.site import CloudLab, client_environment


class InLab(Project):
    """A project whose commands run in the network of its labs."""

    def __init__(
        self, folder: Path, deployment: str, labs: Sequence[CloudLab],
        tables: Mapping[str, Mapping[str, Any]],
    ) -> None:  # fmt: skip
        """`tables` are what `[provider.NAME]` has; the labs must be in one site."""
        super().__init__(folder, deployment)
        self._labs = labs
        self.config |= {"providers": list(tables), "provider": tables, "keep": "never"}
        self.config["nodes"]["count"] = 2
        self.config["payload"]["reboot"] = True

    def run(self, *arguments: str) -> Done:
        """Run a command in the labs' network, to its end."""
        environment = client_environment(*(lab.environment for lab in self._labs))
        done = subprocess.run(
            [*self._labs[0].place.enter, *COMMAND, *arguments], cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=3 * PATIENCE, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


def assert_as_published(lab: CloudLab) -> None:
    """Every call was one that the cloud takes, and every machine could be made."""
    assert lab.wrong == []
    assert lab.hypervisor.failures == []
