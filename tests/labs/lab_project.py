"""The real command, run where a lab's machines are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.command import PATIENCE
from tests.cycles.project import Project
from tests.labs.clouds import AnyLab, AnyMachineLab
from tests.labs.machine_network import client_environment


class LabProject(Project):
    """A project whose commands run in the network of its labs."""

    patience = 3 * PATIENCE

    def __init__(
        self,
        folder: Path,
        deployment: str,
        labs: Sequence[AnyLab],
        tables: Mapping[str, Mapping[str, Any]],
        home: Path | None = None,
        settle: str | None = "2s",
    ) -> None:
        """`tables` are what `[provider.NAME]` has; the labs must be in one network. `home` is where
        this person's locks are, when that is not where everybody's are. `settle` is how late the
        labs may list, which is not at all unless a test says so; None is what the providers say."""
        super().__init__(folder, deployment)
        self._home = home
        self._labs = labs
        late = {} if settle is None else {"settle_seconds": settle}
        provider = {name: {**late, **table} for name, table in tables.items()}
        self.config |= {"providers": list(tables), "provider": provider, "keep": "never"}
        self.config["nodes"]["count"] = 2
        self.config["payload"]["reboot"] = True

    @property
    def network(self) -> Path | None:
        """The labs'."""
        return self._labs[0].network.namespace

    @property
    def environment(self) -> dict[str, str]:
        """What lets a client into each lab."""
        mine = {"XDG_STATE_HOME": str(self._home)} if self._home else {}
        return {**client_environment(*(lab.environment for lab in self._labs)), **mine}


def assert_as_published(lab: AnyMachineLab) -> None:
    """Every call was one that the cloud takes, and every machine could be made."""
    assert lab.wrong == []
    assert lab.hypervisor.failures == []
