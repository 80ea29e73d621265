"""Virtual machines, what they are made of, and what Azure tells about itself."""

from __future__ import annotations

import math
import re

from tests.labs.azure import catalogue, rendering
from tests.labs.azure.call import ArmError, Call, Reply, answer
from tests.labs.azure.deploying import (
    require_networks_apart,
    require_peer_groups,
    require_rules_apart,
    require_tags,
)
from tests.labs.azure.handlers import GROUP, MACHINE, Behaviours, Handlers, locked
from tests.labs.azure.state import Machine

_EVENTS = re.compile(
    r"eventTimestamp ge '[\dTZ:-]+' and "
    r"(?:resourceUri eq '(?P<id>[^']+)'|resourceGroupName eq '(?P<group>[^']+)')"
)
_SECURITY_GROUP = f"{GROUP}/providers/microsoft.network/networksecuritygroups/{{}}"
_COMPUTE = "/subscriptions/{}/providers/microsoft.compute"


class ResourceHandlers(Handlers):
    """https://learn.microsoft.com/en-us/rest/api/compute/"""

    def behaviours(self) -> Behaviours:
        """What it answers."""
        return {
            f"GET {GROUP}/providers/microsoft.compute/virtualmachines": self._list_machines,
            f"GET {_COMPUTE}/virtualmachines": self._statuses,
            f"GET {MACHINE}": self._get_machine,
            f"DELETE {MACHINE}": self._delete_machine,
            f"GET {_COMPUTE}/locations/{{}}/operations/{{}}": self._machine_operation,
            f"POST {MACHINE}/retrievebootdiagnosticsdata": self._console,
            f"GET {GROUP}/providers/microsoft.network/networkinterfaces": self._interfaces,
            f"GET {GROUP}/providers/microsoft.network/publicipaddresses": self._addresses,
            f"GET {_SECURITY_GROUP}": self._get_security_group,
            f"PUT {_SECURITY_GROUP}": self._put_security_group,
            f"GET {_COMPUTE}/skus": self._skus,
            f"GET {_COMPUTE}/locations/{{}}/usages": self._usages,
            f"GET {_COMPUTE}/locations/{{}}/publishers/{{}}/artifacttypes/vmimage/offers": (
                self._offers
            ),
            "GET /subscriptions/{}/providers/{}": self._provider,
            "GET /subscriptions/{}": self._subscription,
            "GET /subscriptions/{}/providers/microsoft.authorization/permissions": self._allowed,
            "GET /subscriptions/{}/providers/microsoft.insights/eventtypes/management/values": (
                self._events
            ),
        }

    def _list_machines(self, call: Call) -> Reply:
        seen = self.inventory.listed(self.group(call))
        return self.page(call, [rendering.machine(one, self.inventory.now) for one in seen])

    def _statuses(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/list-all"""
        shown = rendering.status if call.query.get("statusOnly") == "true" else rendering.machine
        seen = [
            one for group in self.inventory.groups.values() for one in self.inventory.listed(group)
        ]
        return self.page(call, [shown(one, self.inventory.now) for one in seen])

    def _get_machine(self, call: Call) -> Reply:
        machine = self._machine(call)
        body = rendering.machine(machine, self.inventory.now)
        if call.query.get("$expand") == "instanceView":
            body["properties"]["instanceView"] = rendering.view(machine, self.inventory.now)
        return answer(body)

    def _delete_machine(self, call: Call) -> Reply:
        """A missing one is 204: https://learn.microsoft.com/en-us/rest/api/compute/virtual-machines/delete"""
        self.group(call)
        try:
            machine = self._machine(call)
        except ArmError:
            return Reply(204)
        if machine.id.lower() in self.inventory.faults.locked:
            raise locked(machine.id)
        self.inventory.record(
            machine, "Microsoft.Compute/virtualMachines/delete", "lab@example.com"
        )
        self.inventory.end(machine)
        where = (
            f"{call.url}/subscriptions/{self.inventory.subscription}/providers/Microsoft.Compute/locations/"
            f"{machine.body['location']}/operations/{machine.number}?api-version=2024-03-01"
        )
        return Reply(202, headers={"Azure-AsyncOperation": where})

    def _console(self, call: Call) -> Reply:
        machine = self._machine(call)
        link = f"{call.url}/console/{machine.name}?sig=very-secret"
        return answer({"serialConsoleLogBlobUri": link})

    def _interfaces(self, call: Call) -> Reply:
        seen = self.inventory.listed(self.group(call))
        return self.page(call, [rendering.interface(one) for one in seen])

    def _addresses(self, call: Call) -> Reply:
        seen = [one for one in self.inventory.listed(self.group(call)) if one.public_address]
        return self.page(call, [rendering.public_address(one) for one in seen])

    def _get_security_group(self, call: Call) -> Reply:
        group, id_ = self.group(call), _path(call)
        if group.changes.get(id_, (math.inf,))[0] <= self.inventory.now:
            _, group.resources[id_] = group.changes.pop(id_)
        if id_ not in group.resources:
            words = f"The Resource '{id_.partition('/providers/')[2]}' was not found."
            raise ArmError(404, "ResourceNotFound", words)
        return answer(rendering.security_group(group, id_))

    def _put_security_group(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/virtualnetwork/network-security-groups/create-or-update:
        the rules are those of the body alone, and in force once its state is `Succeeded`."""
        group, id_ = self.group(call), _path(call)
        made = id_ not in group.resources
        resource = {
            "type": "Microsoft.Network/networkSecurityGroups",
            "name": call.names["2"],
            "id": call.names["path"],
            **call.body,
        }
        require_networks_apart(resource)
        require_rules_apart(resource)
        require_peer_groups(resource, group.resources.keys(), set())
        if self.inventory.tag_policy:
            require_tags([resource])
        group.changes[id_] = self.inventory.now + self.inventory.timing.security, resource
        if made:
            group.resources[id_] = {**resource, "properties": {"securityRules": []}}
        return answer(rendering.security_group(group, id_), 201 if made else 200)

    def _skus(self, call: Call) -> Reply:
        wanted = re.fullmatch(r"location eq '(\w+)'", call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "InvalidFilterInQueryString", "Invalid $filter.")
        known = wanted[1] in catalogue.LOCATIONS or wanted[1] == "uaecentral"
        return self.page(call, catalogue.skus(wanted[1]) if known else [])

    def _usages(self, call: Call) -> Reply:
        return self.page(
            call, catalogue.usages(self.inventory.spot_limit, self.inventory.family_limits)
        )

    def _offers(self, call: Call) -> Reply:
        return answer(catalogue.offers(call.names["1"]))

    def _provider(self, call: Call) -> Reply:
        state = "NotRegistered" if call.names["1"] in self.inventory.unregistered else "Registered"
        return answer(catalogue.provider(call.names["1"], state, self.inventory.subscription))

    def _subscription(self, call: Call) -> Reply:
        return answer(
            {
                "id": f"/subscriptions/{self.inventory.subscription}",
                "subscriptionId": self.inventory.subscription,
                "displayName": "Lab",
                "state": self.inventory.subscription_state,
            }
        )

    def _allowed(self, call: Call) -> Reply:
        return self.page(call, [{"actions": self.inventory.actions, "notActions": []}])

    def _events(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/monitor/activity-logs/list"""
        wanted = _EVENTS.fullmatch(call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "BadRequest", "Invalid $filter.")
        id_, group = ((wanted[key] or "").lower() for key in ("id", "group"))
        found = [
            event
            for its, event in self.inventory.events
            if its == id_ or event["resourceGroupName"].lower() == group
        ]
        return self.page(call, found[::-1])

    def _machine(self, call: Call) -> Machine:
        group = self.group(call)
        for machine in self.inventory.inside(group):
            if (
                machine.name.lower() == call.names["2"].lower()
                and machine.made_at <= self.inventory.now
            ):
                return machine
        words = f"The Resource 'Microsoft.Compute/virtualMachines/{call.names['2']}' was not found."
        raise ArmError(404, "ResourceNotFound", words)

    def _machine_operation(self, call: Call) -> Reply:
        going = any(str(one.number) == call.names["2"] for one in self.inventory.machines.values())
        return answer({"status": "InProgress" if going else "Succeeded"})


def _path(call: Call) -> str:
    return call.names["path"].lower()
