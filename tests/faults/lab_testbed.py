"""The clouds' labs without machines as testbeds: their nodes run, says the cloud, and never answer.

What a command waits for between two questions, for listings to catch up and for throttling to end
is cut to a second or so by `launcher`; nothing else about it differs from what users run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from spotdeploy.model import Verdict
from tests.faults.launcher import How, launcher
from tests.faults.testbed import Testbed
from tests.labs.clouds import Cloud
from tests.labs.fault_queue import ANY, Fault
from tests.labs.lab_project import LabProject

SETTLE = 1.0
"""Seconds that listings may lag, instead of up to 120."""
PATIENCE = 6.0
"""Seconds for which a throttled call is repeated, instead of 120."""
PATIENT = {"boot": "1s", "destroy": "30s"}
MANY = 1_000_000
When = Callable[[Any], bool]


def waits(name: str, more: Mapping[str, float]) -> dict[str, float]:
    """The constants that say how long a command on this cloud waits, and `more` of them."""
    return {
        "spotdeploy.provider:Provider.poll_seconds": 0.25,
        "spotdeploy.patience:PATIENCE": PATIENCE,
        "spotdeploy.phases.boot:GRACE": 1.0,
        f"spotdeploy_{name}.provider:{name.title()}Provider.settle_seconds": SETTLE,
        **more,
    }


class LabTestbed(Testbed):
    """A cloud's lab and a project of two nodes on it."""

    healthy = Verdict.INFRASTRUCTURE_FAILED
    cloud: ClassVar[Cloud]
    end: ClassVar[str]
    """The call that ends nodes, as the lab's faults name it."""
    constants: ClassVar[Mapping[str, float]] = {}
    throttled: ClassVar[Any]
    """The cloud's answers when it is asked too often, is broken, or no longer knows us."""
    broken: ClassVar[Any]
    expired: ClassVar[Any]
    lab: Any

    def __init__(self, folder: Path, lab: Any) -> None:
        super().__init__()
        self._folder = folder
        self.lab = lab
        self.bystanders: set[str] = set()
        """What is in the cloud and none of ours: it must be there in the end."""
        self.how = How(constants=waits(self.cloud.name, self.constants))

    def __enter__(self) -> Self:
        self.lab.start()
        self.project = self.new_project("faulty")
        self.confide()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.stop()

    def new_project(self, deployment: str) -> LabProject:
        """A user's project that goes to this cloud."""
        tables = {self.cloud.name: self.cloud.table(self.lab)}
        folder = self._folder / deployment
        project = LabProject(folder, deployment, [self.lab], tables, settle=None)
        project.command = launcher(self.how)
        project.config["timeouts"] = dict(PATIENT)
        project.config["payload"]["reboot"] = False
        return project

    @property
    def secrets(self) -> Sequence[str]:
        """See `Testbed`; the cloud's credentials too."""
        return (*super().secrets, *self.lab.credentials)

    def machines(self) -> list[str]:
        """The ids of the machines that exist and are not somebody else's."""
        return [id_ for id_ in self.lab.ids() if id_ not in self.bystanders]

    @abstractmethod
    def protect(self, id_: str) -> None:
        """Let nobody end this machine."""

    def interrupt(self, id_: str) -> None:
        """Take a machine back."""
        self.lab.interrupt(id_)

    @abstractmethod
    def vanish(self, id_: str) -> None:
        """End a machine behind everybody's back, and know nothing of it."""

    @abstractmethod
    def add_bystander(self) -> None:
        """Put something into the cloud that is none of ours."""

    def heal(self) -> None:
        """See `Testbed`."""
        self.lab.faults.clear()
        if self.lab.front:
            self.lab.front.heal()
        self.restore()
        self.lab.cloud.on_change.clear()
        self.project.config["timeouts"] = dict(PATIENT)
        self.project.write()

    def lag(self, seconds: float) -> None:
        """Let listings lack for so long what was just made."""
        self.lab.timing.listing_delay = seconds

    def restore(self) -> None:
        """Undo a revocation of all credentials; nothing where there is none."""

    def remains(self) -> list[str]:
        """See `Testbed`."""
        return sorted(set(self.lab.remains()) - self.bystanders)

    @property
    def wrong(self) -> Sequence[str]:
        """See `Testbed`."""
        harmed = self.bystanders - set(self.lab.remains())
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
        name: str = self.lab.faults.name_of(call)
        return name

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

        self.fault(ANY, when=watch)

    def first_machine(self, deed: Callable[[str], None]) -> None:
        """Do something to the first machine as soon as there is one."""
        done: list[str] = []

        def look() -> None:
            made = self.machines()
            if made and not done:
                done.append(made[0])
                deed(made[0])

        self.lab.cloud.on_change.append(look)
