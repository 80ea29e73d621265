"""`systemd`: units are active and enabled and were not restarted, or oneshots succeeded."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, CommandResult, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Manifest, Node
from spotdeploy.text import plain
from spotdeploy_checks.units import refuse_odd_unit

PROPERTIES: Final = (
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "ConditionResult",
    "Triggers",
    "InvocationID",
    "ActiveEnterTimestampMonotonic",
    "ExecMainStartTimestampMonotonic",
)
ENABLED: Final = frozenset({"enabled", "alias", "generated"})
"""What comes up at boot by itself. `static` is not among them: something else must want it."""
TAIL: Final = 10
TRIGGERED: Final = 8
"""Units of one timer that are asked about."""
_EXITED: Final = "1"
_ENDED_BY_SIGNAL: Final = ("2", "3")
"""CLD_KILLED and CLD_DUMPED of waitid(2), as systemd shows ExecMainCode."""
_NEVER: Final = ("", "0")
_STARTS: Final = PROPERTIES[-3:]
"""What is new with each start of a unit or of its main process, whoever starts it. NRestarts counts
those of `Restart=` alone: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html"""
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_AS_USER: Final = """
id=$(id -u -- "$1") && group=$(id -g -- "$1") || exit 1
shift
exec setpriv --reuid="$id" --regid="$group" --init-groups -- \\
    env XDG_RUNTIME_DIR="/run/user/$id" "$@"
"""
_MANAGER: Final = " (does the manager of {0} run? 'loginctl enable-linger {0}', libpam-systemd)"
_USERS_KEY: Final = 'user = "NAME"'
State = Literal["active", "succeeded"]


class SystemdSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `systemd` check."""

    units: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Names of units, with their suffix, such as `app.service`."""
    state: State = "active"
    """`active`: up, and not started anew while it should be stable. `succeeded`: of a oneshot, that
    it ran since boot and its last run ended well; whether it stays active does not matter."""
    user: str = ""
    """The user whose manager has the units; the system's when it is empty. It must be running,
    which `loginctl enable-linger` sees to at boot."""
    enabled: bool = True
    """Whether units must be enabled, so that they come up at boot."""
    max_restarts: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How often systemd may have restarted a unit by itself since boot, or since it was started
    by hand."""
    stable_for: Duration = Duration("5s")

    def __post_init__(self) -> None:
        """Refuse names that no unit or user can have, and units given twice."""
        for index, unit in enumerate(self.units):
            refuse_odd_unit(f"units[{index}]", unit)
            if unit in self.units[:index]:
                raise ValueError(f"units[{index}]: {unit!r} is named twice")
        if self.user and not _USER.fullmatch(self.user):
            raise ValueError(f"user: {self.user!r} is not the name of a user")


class SystemdCheck(Check[SystemdSettings]):
    """Ask for all units at once; of those that fail, bring the last lines of the journal."""

    kind = "systemd"
    Settings = SystemdSettings

    def title(self) -> str:
        expected = self.settings
        of = f" of {expected.user}" if expected.user else ""
        succeeded = " succeeded" if expected.state == "succeeded" else ""
        return f"systemd {', '.join(expected.units)}{of}{succeeded}"

    def doubt(self, manifest: Manifest) -> str:
        """A unit that is not shipped may be the system's, or one that the entry writes; a name that
        is nearly that of a shipped unit may be a slip of the pen."""
        shipped = {PurePosixPath(entry.path).name for entry in manifest.entries}
        slips = []
        for unit in self.settings.units:
            near = _like(unit, shipped, 1)
            if near and unit not in shipped and template(unit) not in shipped:
                slips.append(f"no unit {unit} is in the payload; is {near[0]} meant?")
        return " ".join(slips)

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        units = self.settings.units
        result = await self._systemctl(connection, question(units))
        found = parse(result.stdout)
        if len(found) != len(units):
            message = plain(result.stderr, limit=300) or f"it told of {len(found)} units"
            manager = _MANAGER.format(self.settings.user) if self.settings.user else ""
            return self.failed(f"systemctl did not tell of {len(units)} units: {message}{manager}")
        by_unit = dict(zip(units, found, strict=True))
        if absent := [unit for unit, facts in by_unit.items() if is_absent(facts)]:
            return self.failed(await self._absence(connection, absent), final=True)
        wrong = {
            unit: message for unit, facts in by_unit.items() if (message := self._trouble(facts))
        }
        wrong |= await self._triggered(connection, by_unit)
        if not wrong:
            return self.passed(instances=self._instances(by_unit))
        text = "; ".join(f"{unit} {message}" for unit, message in wrong.items())
        looping = any(restarts(facts) > self.settings.max_restarts for facts in found)
        return self.failed(text + await self._last_words(connection, list(wrong)), final=looping)

    def _trouble(self, facts: Mapping[str, str]) -> str:
        expected = self.settings
        found = []
        if facts["LoadState"] != "loaded":
            found.append(" ".join(filter(None, ("is", facts["LoadState"], facts["LoadError"]))))
        elif expected.state == "succeeded":
            found += [message for message in (unsuccessful(facts),) if message]
        elif facts["ActiveState"] != "active":
            found.append(f"is {facts['ActiveState']} ({facts['SubState']}){ending(facts)}")
            if _ended_well(facts) and facts["ActiveState"] == "inactive":
                found.append('it ended well: of a oneshot, ask for state = "succeeded"')
        if expected.enabled and facts["UnitFileState"] not in ENABLED:
            found.append(f"is not enabled ({facts['UnitFileState'] or 'no unit file'})")
        if restarts(facts) > expected.max_restarts:
            found.append(f"was restarted {restarts(facts)} times, {expected.max_restarts} allowed")
        return plain(", ".join(found), limit=400)

    def _instances(self, by_unit: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """A oneshot may run again: it is its last run that counts."""
        if self.settings.state == "succeeded":
            return {}
        return {
            unit: plain(" ".join(facts[name] for name in _STARTS), limit=200)
            for unit, facts in by_unit.items()
        }

    async def _triggered(
        self, connection: Connection, by_unit: Mapping[str, Mapping[str, str]]
    ) -> dict[str, str]:
        """What failed last of that which timers start: a timer is active whatever becomes of it."""
        triggered = {
            one: timer
            for timer, facts in by_unit.items()
            if timer.endswith(".timer")
            for one in facts["Triggers"].split()[:TRIGGERED]
        }
        if not triggered:
            return {}
        result = await self._systemctl(connection, question(list(triggered)))
        found = parse(result.stdout)
        if len(found) != len(triggered):
            return dict.fromkeys(triggered, "is not told of by systemctl")
        return {
            one: plain(f"(started by {timer}) failed in its last run{ending(facts)}", limit=400)
            for (one, timer), facts in zip(triggered.items(), found, strict=True)
            if facts["ActiveState"] == "failed" or facts["Result"] not in ("", "success")
        }

    async def _systemctl(self, connection: Connection, command: Sequence[str]) -> CommandResult:
        if user := self.settings.user:
            command = ["sh", "-c", _AS_USER, "sh", user, command[0], "--user", *command[1:]]
        return await connection.run(command)

    async def _last_words(self, connection: Connection, units: Sequence[str]) -> str:
        command = last_lines(units, of_user=bool(self.settings.user))
        output = plain((await connection.run(command)).stdout, limit=2000)
        return f"\n{output}" if output else ""

    async def _absence(self, connection: Connection, absent: Sequence[str]) -> str:
        listing = ["systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager"]
        lines = (await self._systemctl(connection, listing)).stdout.splitlines()
        known = [line.split()[0] for line in lines if line.strip()]
        return "; ".join(f"{unit} does not exist{self._near(unit, known)}" for unit in absent)

    def _near(self, unit: str, known: Sequence[str]) -> str:
        if near := _like(unit, known, 3):
            return f" (there is {', '.join(plain(name, limit=80) for name in near)})"
        return "" if self.settings.user else f" (a user's own unit needs {_USERS_KEY})"


def template(unit: str) -> str:
    """The template of an instance: `a@.service` of `a@b.service`; else the name itself."""
    name, at, _ = unit.partition("@")
    return f"{name}@{_suffix(unit)}" if at else unit


def _like(unit: str, known: Iterable[str], most: int) -> list[str]:
    """Names of the same kind that are like it: ".service" alone would make all names alike."""
    stems = {n.rpartition(".")[0]: n for n in known if n.endswith(_suffix(unit))}
    stem = unit.rpartition(".")[0] or unit
    return [stems[one] for one in difflib.get_close_matches(stem, stems, most, cutoff=0.7)]


def _suffix(unit: str) -> str:
    return PurePosixPath(unit).suffix or ".service"


def question(units: Sequence[str]) -> list[str]:
    """The command that tells of these units."""
    return ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *units]


def parse(text: str) -> list[dict[str, str]]:
    """The facts of each unit, in the order asked; a fact that is not told is empty."""
    blocks = [block for block in text.strip().split("\n\n") if block.strip()]
    return [
        dict.fromkeys(PROPERTIES, "")
        | dict(line.partition("=")[::2] for line in block.splitlines())
        for block in blocks
    ]


def is_absent(facts: Mapping[str, str]) -> bool:
    """Whether there is no such unit."""
    return facts["LoadState"] == "not-found"


def restarts(facts: Mapping[str, str]) -> int:
    """How often systemd restarted the unit by itself; 0 for units that are no services."""
    count = facts["NRestarts"]
    return int(count) if count.isdecimal() and len(count) < 12 else 0


def ending(facts: Mapping[str, str]) -> str:
    """How the unit's main process ended, when it did."""
    code, status = facts["ExecMainCode"], facts["ExecMainStatus"]
    result = facts["Result"]
    message = [f"result {result}"] if result not in ("", "success") else []
    if code == _EXITED:
        message.append(f"exit status {status}")
    elif code in _ENDED_BY_SIGNAL:
        message.append(f"ended by signal {status}")
    return "".join(f", {word}" for word in message)


def unsuccessful(facts: Mapping[str, str]) -> str:
    """Why the unit's last run since boot did not succeed; empty when it did."""
    if facts["ActiveState"] in ("activating", "deactivating", "reloading"):
        return f"has not ended yet: it is {facts['ActiveState']} ({facts['SubState']})"
    if facts["ActiveState"] == "failed" or facts["Result"] not in ("", "success"):
        return f"did not succeed: it is {facts['ActiveState']} ({facts['SubState']}){ending(facts)}"
    if facts["ExecMainStartTimestampMonotonic"] in _NEVER:
        unmet = facts["ConditionResult"] == "no"
        return "has not run since boot" + (": a condition of its was not met" if unmet else "")
    if not _ended_well(facts):
        return f"has not ended: it is {facts['ActiveState']} ({facts['SubState']}){ending(facts)}"
    return ""


def _ended_well(facts: Mapping[str, str]) -> bool:
    return facts["ExecMainCode"] == _EXITED and facts["ExecMainStatus"] == "0"


def last_lines(units: Sequence[str], *, of_user: bool = False) -> list[str]:
    """The command that prints what these units said last."""
    fields = ("_SYSTEMD_USER_UNIT", "USER_UNIT")
    matches = [f"{field}={unit}" for unit in units for field in fields]
    return [
        *("journalctl", "--boot", "--quiet", "--no-pager", "--output=short-iso"),
        f"--lines={TAIL}",
        *(" + ".join(matches).split() if of_user else [f"--unit={unit}" for unit in units]),
    ]
