"""`systemd`: units are active and enabled, and were not restarted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.text import plain

PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts",
    "ExecMainStatus",
)  # fmt: skip
ENABLED = frozenset({"enabled", "enabled-runtime", "static", "alias", "indirect", "generated"})
TAIL = 5


class SystemdSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `systemd` check."""

    units: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    max_restarts: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How often systemd may have restarted a unit since boot. Restarts only ever add up, so a
    unit that is restarted while it should be stable fails, however briefly it was down."""
    enabled: bool = True
    """Whether units must be enabled, so that they come up at boot."""
    stable_for: Duration = Duration("5s")


class SystemdCheck(Check[SystemdSettings]):
    """Ask for all units at once."""

    kind = "systemd"
    Settings = SystemdSettings

    def title(self) -> str:
        """As in the contract."""
        return f"systemd {', '.join(self.settings.units)}"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        """As in the contract."""
        del node
        result = await connection.run(question(self.settings.units))
        if result.exit_code != 0:
            return self.failed(plain(result.stderr, limit=300) or "systemctl did not answer")
        found = parse(result.stdout)
        wrong = {
            unit: trouble
            for unit, facts in zip(self.settings.units, found, strict=False)
            if (trouble := self._trouble(facts))
        }
        if len(found) != len(self.settings.units):
            return self.failed(f"systemctl told of {len(found)} units")
        if not wrong:
            return self.passed()
        text = "; ".join(f"{unit} {trouble}" for unit, trouble in wrong.items())
        return self.failed(
            text + await _last_words(connection, list(wrong)), final=_hopeless(found)
        )

    def _trouble(self, facts: dict[str, str]) -> str:
        if facts["LoadState"] != "loaded":
            return f"does not exist ({facts['LoadState']})"
        if facts["ActiveState"] != "active":
            how = f"{facts['ActiveState']} ({facts['SubState']})"
            return f"is {how}, result {facts['Result']}, exit status {facts['ExecMainStatus']}"
        if self.settings.enabled and facts["UnitFileState"] not in ENABLED:
            return f"is active and not enabled ({facts['UnitFileState'] or 'no unit file'})"
        restarts = int(facts["NRestarts"] or 0) if facts["NRestarts"].isdigit() else 0
        if restarts > self.settings.max_restarts:
            return f"was restarted {restarts} times since boot"
        return ""


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


def _hopeless(found: Sequence[dict[str, str]]) -> bool:
    return any(facts["LoadState"] == "not-found" for facts in found)


async def _last_words(connection: Connection, units: Sequence[str]) -> str:
    names = [f"--unit={unit}" for unit in units]
    command = ["journalctl", "--boot", "--no-pager", "--output=short", f"--lines={TAIL}", *names]
    said = plain((await connection.run(command)).stdout, limit=1000)
    return f"\n{said}" if said else ""
