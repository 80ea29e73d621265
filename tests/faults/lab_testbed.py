"""The clouds' labs without machines as testbeds: their nodes run, says the cloud, and never answer.

What a command waits for between two questions, for listings to catch up and for throttling to end
is cut to a second or so by `launcher`; nothing else about it differs from what users run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from spotdeploy.model import Verdict
from tests.cycles.project import Project
from tests.faults.launcher import How, launcher
from tests.faults.testbed import Testbed
from tests.labs.fault_queue import Fault
from tests.labs.machine_network import client_environment
from tests.labs.network import Network

COUNT = 2
SETTLE = 1.0
"""Seconds that listings may lag, instead of up to 30."""
PATIENCE = 6.0
"""Seconds for which a throttled call is repeated, instead of 120."""
PATIENT = {"boot": "1s", "destroy": "30s"}
MANY = 1_000_000
When = Callable[[Any], bool]


def waits(name: str, more: Mapping[str, float]) -> dict[str, float]:
    """The constants that say how long a command on this cloud waits, and `more` of them."""
    return {
        "spotdeploy.provider:Provider.poll_seconds": 0.25,
        "spotdeploy.run.location:PATIENCE": PATIENCE,
        "spotdeploy.phases.boot:GRACE": 1.0,
        f"spotdeploy_{name}.provider:{name.title()}Provider.settle_seconds": SETTLE,
        **more,
    }


class LabProject(Project):
    """A project whose commands reach the lab and nothing else."""

    def __init__(
        self, folder: Path, deployment: str, network: Network, settings: Mapping[str, str]
    ) -> None:
        """`settings` are what the environment must have to be let into the lab."""
        super().__init__(folder, deployment)
        self._network = network
        self._settings = settings

    @property
    def enter(self) -> Sequence[str]:
        """Into the lab's network."""
        return self._network.enter

    @property
    def environment(self) -> dict[str, str]:
        """What lets a client in."""
        return client_environment(self._settings)


class LabTestbed(Testbed):
    """A cloud's lab and a project of two nodes on it."""

    healthy = Verdict.INFRASTRUCTURE_FAILED
    name: ClassVar[str]
    create: ClassVar[str]
    """What makes the nodes, in the lab's word for a call."""
    listing: ClassVar[str]
    end: ClassVar[str]
    any: ClassVar[str]
    """The lab's word for every call."""
    constants: ClassVar[Mapping[str, float]] = {}
    throttled: ClassVar[Any]
    """The cloud's answers when it is asked too often, is broken, or no longer knows us."""
    broken: ClassVar[Any]
    expired: ClassVar[Any]
    lab: Any

    def __init__(self, folder: Path, lab: Any, network: Network) -> None:
        super().__init__()
        self._folder, self._network = folder, network
        self.lab = lab
        self.bystanders: set[str] = set()
        """What is in the cloud and none of ours: it must be there in the end."""
        self.how = How(constants=waits(self.name, self.constants))

    def __enter__(self) -> Self:
        self.lab.__enter__()
        self.project = self.new_project("faulty")
        self.confide()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lab.__exit__(kind, error, trace)

    def new_project(self, deployment: str) -> LabProject:
        """A user's project that goes to this cloud."""
        settings = self.lab.environment
        project = LabProject(self._folder / deployment, deployment, self._network, settings)
        project.command = launcher(self.how)
        project.config |= {
            "providers": [self.name],
            "keep": "never",
            "nodes": {"count": COUNT},
            "timeouts": dict(PATIENT),
            "provider": {self.name: self.table()},
        }
        return project

    @abstractmethod
    def table(self) -> dict[str, Any]:
        """`[provider.NAME]`."""

    @abstractmethod
    def everything(self) -> list[str]:
        """The ids of all that is billed or named and not part of an empty account."""

    @abstractmethod
    def machines(self) -> list[str]:
        """The ids of the machines that exist."""

    @abstractmethod
    def protect(self, id_: str) -> None:
        """Let nobody end this machine."""

    @abstractmethod
    def interrupt(self, id_: str) -> None:
        """Take a machine back."""

    @abstractmethod
    def vanish(self, id_: str) -> None:
        """End a machine behind everybody's back, and know nothing of it."""

    @abstractmethod
    def add_bystander(self) -> None:
        """Put something into the cloud that is none of ours."""

    def heal(self) -> None:
        """See `Testbed`."""
        self.lab.faults.clear()
        self.restore()
        self.lab.cloud.on_change.clear()
        self.project.config["timeouts"] = dict(PATIENT)
        self.project.write()

    def restore(self) -> None:
        """Undo a revocation of all credentials; nothing where there is none."""

    def remains(self) -> list[str]:
        """See `Testbed`."""
        return sorted(set(self.everything()) - self.bystanders)

    @property
    def wrong(self) -> Sequence[str]:
        """See `Testbed`."""
        harmed = self.bystanders - set(self.everything())
        return [*self.lab.wrong, *(f"{one} was none of ours, and is gone" for one in harmed)]

    def fault(
        self,
        call: str,
        times: int = MANY,
        *,
        error: Any = None,
        lose: str = "",
        when: When = lambda _: True,
    ) -> None:
        """Let something happen to the next calls of that name: an `error`, or "request" or
        "reply" is lost."""
        self.lab.faults.queue.append(Fault(call, times, error, lose, when))

    def named(self, call: Any) -> str:
        """The lab's name of a call."""
        return str(getattr(call, "action", "") or getattr(call, "operation", "") or call.method)

    def since(self, call: str, nth: int = 1) -> When:
        """True from the `nth` call of that name on, for whatever calls."""
        seen = 0

        def begun(one: Any) -> bool:
            nonlocal seen
            seen += self.named(one) == call
            return seen >= nth

        return begun

    def once(self, call: str, deed: Callable[[], None], nth: int = 1) -> None:
        """Do something when the `nth` call of that name after the first machine was made comes,
        before it is answered."""
        seen = 0

        def watch(one: Any) -> bool:
            nonlocal seen
            if self.named(one) == call and self.machines():
                seen += 1
                if seen == nth:
                    deed()
            return False

        self.fault(self.any, when=watch)

    def first_machine(self, deed: Callable[[str], None]) -> None:
        """Do something to the first machine as soon as there is one."""
        done: list[str] = []

        def look() -> None:
            made = self.machines()
            if made and not done:
                done.append(made[0])
                deed(made[0])

        self.lab.cloud.on_change.append(look)
