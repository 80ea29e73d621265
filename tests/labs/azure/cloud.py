"""The Resource Manager, as far as it is used."""

from __future__ import annotations

from dataclasses import dataclass

from tests.labs.azure.call import DROPPED, ArmError, Call, Reply
from tests.labs.azure.group_handlers import GroupHandlers
from tests.labs.azure.handlers import DEPLOYMENT, MACHINES, Behaviours
from tests.labs.azure.inventory import Inventory
from tests.labs.azure.resource_handlers import ResourceHandlers

LISTINGS = (
    f"GET {MACHINES}",
    "GET /subscriptions/{}/providers/microsoft.compute/virtualmachines",
)
"""What Compute counts as costly."""
INSIDE = (f"PUT {DEPLOYMENT}", f"GET {DEPLOYMENT}", f"GET {MACHINES}", f"GET {MACHINES}/{{}}")


@dataclass
class Cloud(Inventory):
    """Answers calls about what it holds."""

    def handle(self, call: Call) -> Reply:
        """Answer one call."""
        with self.lock:
            self.calls.append(call)
            self.sweep()
            fault = self.faults.take(call)
            if fault and fault.error:
                reply: Reply = fault.error.reply()
                return reply
            if fault and fault.lose == "request":
                return DROPPED
            try:
                self._require_time(call)
                reply = self._handlers()[call.operation](call)
            except ArmError as error:
                reply = error.reply()
            return DROPPED if fault else reply

    def _require_time(self, call: Call) -> None:
        if call.operation in LISTINGS and self.now < self.faults.closed_until:
            raise self.faults.costly(self.now)
        if call.operation in INSIDE and self.now < self.faults.unknown_until:
            words = f"Resource group '{call.names['1']}' could not be found."
            raise ArmError(404, "ResourceGroupNotFound", words)

    def _handlers(self) -> Behaviours:
        return {**GroupHandlers(self).behaviours(), **ResourceHandlers(self).behaviours()}
