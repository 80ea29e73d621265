"""`systemd`: units are active and enabled, and were not restarted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
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
)
ENABLED: Final = frozenset({"enabled", "alias", "generated"})
"""What comes up at boot by itself. `static` is not among them: something else must want it."""
TAIL: Final = 10
_EXITED: Final = "1"
_ENDED_BY_SIGNAL: Final = ("2", "3")
"""CLD_KILLED and CLD_DUMPED of waitid(2), as systemd shows ExecMainCode."""


class SystemdSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `systemd` check."""

    units: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Names of units, with their suffix, such as `app.service`."""
    enabled: bool = True
    """Whether units must be enabled, so that they come up at boot."""
    max_restarts: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How often systemd may have restarted a unit by itself since boot, or since it was started
    by hand. The count only grows, so a unit that is restarted while it should be stable fails,
    however briefly it was down."""
    stable_for: Duration = Duration("5s")

    def __post_init__(self) -> None:
        """Refuse names that no unit can have, and names given twice."""
        for index, unit in enumerate(self.units):
            refuse_odd_unit(f"units[{index}]", unit)
            if unit in self.units[:index]:
                raise ValueError(f"units[{index}]: {unit!r} is named twice")


class SystemdCheck(Check[SystemdSettings]):
    """Ask for all units at once; of those that fail, bring the last lines of the journal."""

    kind = "systemd"
    Settings = SystemdSettings

    def title(self) -> str:
        return f"systemd {', '.join(self.settings.units)}"

    def objection(self, manifest: Manifest) -> str:
        """A unit that is not shipped may be the system's; one that is nearly the name of a
        shipped unit is a slip of the pen."""
        shipped = {PurePosixPath(entry.path).name for entry in manifest.entries}
        for unit in self.settings.units:
            near = difflib.get_close_matches(unit, shipped, n=1, cutoff=0.8)
            if unit not in shipped and near and near[0].endswith(_suffix(unit)):
                return f"no unit {unit} is in the payload; did you mean {near[0]}?"
        return ""

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        units = self.settings.units
        result = await connection.run(question(units))
        found = parse(result.stdout)
        if len(found) != len(units):
            message = plain(result.stderr, limit=300) or f"it told of {len(found)} units"
            return self.failed(f"systemctl did not tell of {len(units)} units: {message}")
        by_unit = dict(zip(units, found, strict=True))
        if absent := [unit for unit, facts in by_unit.items() if is_absent(facts)]:
            return self.failed(await _absence(connection, absent), final=True)
        wrong = {
            unit: message for unit, facts in by_unit.items() if (message := self._trouble(facts))
        }
        if not wrong:
            return self.passed()
        text = "; ".join(f"{unit} {message}" for unit, message in wrong.items())
        looping = any(restarts(facts) > self.settings.max_restarts for facts in found)
        return self.failed(text + await _last_words(connection, list(wrong)), final=looping)

    def _trouble(self, facts: Mapping[str, str]) -> str:
        expected = self.settings
        found = []
        if facts["LoadState"] != "loaded":
            found.append(" ".join(filter(None, ("is", facts["LoadState"], facts["LoadError"]))))
        elif facts["ActiveState"] != "active":
            found.append(f"is {facts['ActiveState']} ({facts['SubState']}){ending(facts)}")
        if expected.enabled and facts["UnitFileState"] not in ENABLED:
            found.append(f"is not enabled ({facts['UnitFileState'] or 'no unit file'})")
        if restarts(facts) > expected.max_restarts:
            found.append(f"was restarted {restarts(facts)} times, {expected.max_restarts} allowed")
        return plain(", ".join(found), limit=400)


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


def last_lines(units: Sequence[str]) -> list[str]:
    """The command that prints what these units said last."""
    return [
        *("journalctl", "--boot", "--quiet", "--no-pager", "--output=short-iso"),
        f"--lines={TAIL}",
        *(f"--unit={unit}" for unit in units),
    ]


async def _last_words(connection: Connection, units: Sequence[str]) -> str:
    output = plain((await connection.run(last_lines(units))).stdout, limit=2000)
    return f"\n{output}" if output else ""


async def _absence(connection: Connection, absent: Sequence[str]) -> str:
    listing = ["systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager"]
    lines = (await connection.run(listing)).stdout.splitlines()
    known = [line.split()[0] for line in lines if line.strip()]
    return "; ".join(f"{unit} does not exist{_near(unit, known)}" for unit in absent)


def _near(unit: str, known: Sequence[str]) -> str:
    """Names like it. Endings are left out of the comparison: ".service" makes all names alike."""
    stems = {name.rpartition(".")[0]: name for name in known}
    stem = unit.rpartition(".")[0] or unit
    near = [stems[one] for one in difflib.get_close_matches(stem, stems, n=3)]
    return f" (there is {', '.join(plain(name, limit=80) for name in near)})" if near else ""
