"""The contract of a check: one condition that a node must meet.

The core owns the loop: the condition must become true within `within` and hold for `stable_for`. A
failed check is data and an unreachable node is data; an exception is a bug in the check.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec

from spotdeploy.duration import Duration
from spotdeploy.model import Manifest, Node

if TYPE_CHECKING:
    import asyncio


class Mandatory(StrEnum):
    """When a check stands in every config, whether it is named there or not."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER_REBOOT = "after a reboot"
    """Where nodes reboot before they are verified."""


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that every `[[checks]]` table has."""

    type: str
    """Which check it is."""
    name: str = ""
    """What reports call it, instead of the check's own title."""
    within: Duration = Duration("2m")
    """The longest it may take to become true."""
    stable_for: Duration = Duration("0s")
    """How long it must hold after that; one failure restarts the timer."""
    every: Duration = Duration("1s")
    """The pause between two attempts."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer of one check at one moment."""

    ok: bool
    name: str
    detail: str = ""
    """Why, in one line or a few; what was seen, not what was expected."""
    final: bool = False
    """True when asking again cannot change the answer; the core then stops asking."""
    instances: Mapping[str, str] = field(default_factory=dict)
    """Of a good answer: what was asked about, each with a word that changes when it is started
    anew. Another word than in the good answer before is a failure, whoever started it."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command on a node gave. Output is bounded and decoded with replacement."""

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool = False


class Connection(ABC):
    """What a check may do with a node. Every method raises `UnreachableError` when the node
    cannot be reached; the core turns that into a failed result."""

    manifest: Manifest
    """What was to be shipped: paths, modes and digests."""

    @abstractmethod
    async def run(
        self,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        alone: bool = False,
    ) -> CommandResult:
        """Run a command as root, and wait for it. `timeout` is in seconds; when it passes, the
        result's exit code is 124 and stderr says so.

        A command finds the system's own tools, not what was put into /usr/local. `alone` is for
        commands that are not the check's own: they have the PATH that sudo gives, and nothing that
        they leave running can speak into another command's answer. It costs the node a login shell
        and a sudo.
        """

    @abstractmethod
    async def open_tcp(
        self, port: int, *, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection made on the node itself. Raises ConnectionError when refused there."""

    def peers(self, group: str) -> Sequence[Node]:
        """The nodes of a group of the run that have not failed, by index, as the cloud last showed
        them."""
        del group
        return ()

    @abstractmethod
    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection from this computer to the node. Raises ConnectionError when refused."""


S = TypeVar("S", bound=CheckSettings)


class Check(ABC, Generic[S]):
    """One configured check."""

    kind: ClassVar[str]
    """As in `type = "..."` of a `[[checks]]` table."""
    Settings: ClassVar[type[CheckSettings]]
    mandatory: ClassVar[Mandatory] = Mandatory.NEVER
    """Mandatory checks run last, once every other has held: they are about the whole time."""

    def __init__(self, settings: S, folder: Path = Path()) -> None:
        self.settings = settings
        self.folder = folder
        """Paths of this computer in the settings are relative to it: spotdeploy.toml's folder."""

    @property
    def name(self) -> str:
        """How reports name it: unique enough to tell two checks of one type apart."""
        return self.settings.name or self.title()

    @property
    def group(self) -> str:
        """The group on whose nodes alone it is asked; empty for the nodes of every group."""
        return ""

    @property
    def asks(self) -> str:
        """A group whose nodes it asks about from another node; empty for none."""
        return ""

    @abstractmethod
    def title(self) -> str:
        """The name when the config gives none, for example "http :8081/health"."""

    @abstractmethod
    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """Ask once. Must not wait for the answer to become good and must change nothing on the
        node; the core asks again."""

    def evidence(self) -> Sequence[str]:
        """Files on the node, as absolute paths, that explain this check's answer: they are brought
        back with the evidence. Must be the same each time."""
        return ()

    def files(self) -> Sequence[Path]:
        """Files and folders of this computer that this check reads: `cycle --watch` runs again when
        one of them changes, comes or goes. Must be the same each time."""
        return ()

    def objection(self, manifest: Manifest) -> str:
        """Why this check cannot pass with such a payload, for a refusal before anything is made;
        empty when it may. Asks no node."""
        del manifest
        return ""

    def doubt(self, manifest: Manifest) -> str:
        """What looks like a mistake beside such a payload and may be none, for a warning of plan;
        empty when nothing does. Asks no node."""
        del manifest
        return ""

    def passed(
        self, detail: str = "", *, instances: Mapping[str, str] | None = None
    ) -> CheckResult:
        """A good answer under this check's name."""
        return CheckResult(ok=True, name=self.name, detail=detail, instances=instances or {})

    def failed(self, detail: str, *, final: bool = False) -> CheckResult:
        """A bad answer under this check's name."""
        return CheckResult(ok=False, name=self.name, detail=detail, final=final)
