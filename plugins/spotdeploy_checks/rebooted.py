"""`rebooted`: the node restarted after the payload was deployed."""

from __future__ import annotations

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection, Mandatory
from spotdeploy.duration import Duration
from spotdeploy.model import Node
from spotdeploy.node import paths
from spotdeploy.text import plain

QUESTION = (
    f"if [ ! -s {paths.BEFORE_REBOOT} ]; then echo never; "
    f"elif [ -e {paths.BEFORE_REBOOT_RUN} ]; then echo before; else echo after; fi"
)


class RebootedSettings(CheckSettings, frozen=True, kw_only=True):
    """No keys of its own."""

    within: Duration = Duration("5s")


class RebootedCheck(Check[RebootedSettings]):
    """Before the reboot a random word is left on the disk and on a tmpfs; only a reboot leaves
    the one and removes the other. A boot id would not do: a container's does not change."""

    kind = "rebooted"
    Settings = RebootedSettings
    mandatory = Mandatory.AFTER_REBOOT

    def title(self) -> str:
        return "rebooted"

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        del node
        answer = (await connection.run(["sh", "-c", QUESTION])).stdout.strip()
        if answer == "after":
            return self.passed()
        if answer == "before":
            return self.failed("it has not gone down since the reboot was ordered")
        if answer == "never":
            return self.failed("no reboot was ever ordered", final=True)
        return self.failed(f"the node did not say: {plain(answer, limit=200)!r}")
