"""Resource groups, deployments, and how far long operations are."""

from __future__ import annotations

import re

from tests.labs.azure import rendering
from tests.labs.azure.call import ArmError, Call, Json, Reply, answer
from tests.labs.azure.deploying import (
    Request,
    requested,
    require_generation,
    require_networks_apart,
    require_peer_groups,
    require_rules_apart,
    require_tags,
)
from tests.labs.azure.handlers import DEPLOYMENT, GROUP, Behaviours, Handlers, locked
from tests.labs.azure.state import Deployment, Group, Machine, next_time

_TAG = re.compile(r"tagName eq '([^']+)'(?: and tagValue eq '([^']*)')?")


SCHEDULES = "Microsoft.DevTestLab/schedules"


class GroupHandlers(Handlers):
    """https://learn.microsoft.com/en-us/rest/api/resources/"""

    def behaviours(self) -> Behaviours:
        """What it answers."""
        return {
            f"PUT {GROUP}": self._make_group,
            f"GET {GROUP}": self._get_group,
            f"DELETE {GROUP}": self._delete_group,
            "GET /subscriptions/{}/resourcegroups": self._list_groups,
            "GET /subscriptions/{}/operationresults/{}": self._group_operation,
            f"PUT {DEPLOYMENT}": self._deploy,
            f"GET {DEPLOYMENT}": self._get_deployment,
            f"POST {DEPLOYMENT}/cancel": self._cancel,
            f"GET {DEPLOYMENT}/operationstatuses/{{}}": self._deployment_operation,
        }

    def _make_group(self, call: Call) -> Reply:
        name = call.names["1"].lower()
        group = self.inventory.groups.get(name)
        if group is not None and group.ends_at is not None:
            words = f"The resource group '{name}' is in deprovisioning state and cannot perform "
            raise ArmError(409, "ResourceGroupBeingDeleted", words + "this operation.")
        status = 201 if group is None else 200
        if group is None:
            group = Group(call.names["1"], call.body["location"], {}, self.inventory.now)
            self.inventory.groups[name] = group
        if group.location != call.body["location"]:
            raise ArmError(409, "InvalidResourceGroupLocation", "It exists in another location.")
        group.tags = call.body.get("tags", {})
        return answer(
            rendering.group(group, self.inventory.now, self.inventory.subscription), status
        )

    def _get_group(self, call: Call) -> Reply:
        return answer(
            rendering.group(self.group(call), self.inventory.now, self.inventory.subscription)
        )

    def _list_groups(self, call: Call) -> Reply:
        wanted = _TAG.fullmatch(call.query["$filter"])
        if wanted is None:
            raise ArmError(400, "InvalidFilterInQueryString", "Invalid $filter.")
        found = [
            rendering.group(one, self.inventory.now, self.inventory.subscription)
            for one in self.inventory.groups.values()
            if wanted[1] in one.tags
            and wanted[2] in (None, one.tags[wanted[1]])
            and self.inventory.now - one.made_at >= self.inventory.timing.listing_delay
        ]
        return self.page(call, found)

    def _delete_group(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/delete-resource-group"""
        group = self.group(call)
        held = [
            one
            for one in self.inventory.inside(group)
            if one.id.lower() in self.inventory.faults.locked
        ]
        if held:
            raise locked(held[0].id)
        if group.ends_at is None:
            group.failure = None
            group.ends_at = self.inventory.now + self.inventory.timing.group_going
            for machine in self.inventory.inside(group):
                self.inventory.end(machine)
        where = (
            f"{call.url}/subscriptions/{self.inventory.subscription}/operationresults/{group.name}"
        )
        return Reply(202, headers={"Location": f"{where}?api-version=2022-09-01"})

    def _deploy(self, call: Call) -> Reply:
        group = self.group(call)
        if group.ends_at is not None:
            words = f"The resource group '{group.name}' is in deprovisioning state."
            raise ArmError(409, "ResourceGroupBeingDeleted", words)
        key = (group.name.lower(), call.names["2"].lower())
        former = self.inventory.deployments.get(key)
        if former is not None and former.state(self.inventory.now) == "Running":
            words = f"Unable to edit or replace deployment '{former.name}': it is still active."
            raise ArmError(409, "DeploymentActive", words)
        request = requested(call, group, self.inventory.subscription, set(self.inventory.machines))
        if self.inventory.tag_policy:
            require_tags([*request.others, *request.machines])
        self._preflight(call.names["2"], request)
        for one in request.machines:
            require_generation(one)
        made_ids = {one["id"].lower() for one in request.others}
        for one in request.others:
            require_networks_apart(one)
            require_rules_apart(one)
        for one in [*request.others, *request.machines]:
            require_peer_groups(one, group.resources.keys(), made_ids)
        for resource in request.others:
            self._keep(group, resource)
        made = [self._make(group, body) for body in request.machines]
        known = [self.inventory.machines[id_.lower()] for id_ in request.known]
        deployment = Deployment(call.names["2"], group, known + made, self.inventory.now)
        self.inventory.deployments[key] = deployment
        self.inventory.changed()
        at = self._deployment_path(deployment)
        where = f"{call.url}{at}/operationStatuses/08584?api-version=2022-09-01"
        body = rendering.deployment(deployment, self.inventory.now, at)
        return answer(body, 201, {"Azure-AsyncOperation": where})

    def _keep(self, group: Group, resource: Json) -> None:
        group.resources[resource["id"].lower()] = resource
        if resource["type"] == SCHEDULES:
            properties = resource["properties"]
            due = next_time(properties["dailyRecurrence"]["time"], self.inventory.now)
            group.shutdowns[properties["targetResourceId"].lower()] = due

    def _preflight(self, name: str, request: Request) -> None:
        sizes: dict[tuple[str, str | None, str], int] = {}
        for body in request.machines:
            properties = body["properties"]
            zone = (body.get("zones") or [None])[0]
            market = properties.get("priority", "Regular")
            place = (properties["hardwareProfile"]["vmSize"], zone, market)
            sizes[place] = sizes.get(place, 0) + 1
        for place, wanted in sizes.items():
            trouble = self.inventory.faults.at_once(*place, wanted)
            if trouble:
                words = (
                    f"The template deployment '{name}' is not valid according to the validation "
                    "procedure. See inner errors for details."
                )
                inner = {"code": trouble.code, "message": trouble.words}
                raise ArmError(400, "InvalidTemplateDeployment", words, [inner])

    def _make(self, group: Group, body: Json) -> Machine:
        made_at = self.inventory.now + self.inventory.timing.deploying
        machine = Machine(
            id=body["id"],
            body=body,
            group=group,
            number=next(self.inventory.numbers),
            made_at=made_at,
            allocated_at=made_at + self.inventory.timing.allocating,
            ready_at=made_at + self.inventory.timing.allocating + self.inventory.timing.booting,
            held=self.inventory.holding,
        )
        machine.trouble = self.inventory.faults.grant(machine.size, machine.zone, machine.market)
        machine.held = self.inventory.holding and machine.trouble is None
        self.inventory.machines[machine.id.lower()] = machine
        return machine

    def _cancel(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/rest/api/resources/deployments/cancel"""
        found = self._deployment(call)
        if found.state(self.inventory.now) != "Running":
            words = f"The deployment '{found.name}' cannot be cancelled: it is over."
            raise ArmError(409, "DeploymentCannotBeCancelled", words)
        found.cancelled = True
        return Reply(204)

    def _deployment(self, call: Call) -> Deployment:
        group = self.group(call)
        found = self.inventory.deployments.get((group.name.lower(), call.names["2"].lower()))
        if found is None:
            words = f"Deployment '{call.names['2']}' could not be found."
            raise ArmError(404, "DeploymentNotFound", words)
        return found

    def _get_deployment(self, call: Call) -> Reply:
        found = self._deployment(call)
        return answer(rendering.deployment(found, self.inventory.now, self._deployment_path(found)))

    def _deployment_path(self, one: Deployment) -> str:
        group = f"/subscriptions/{self.inventory.subscription}/resourceGroups/{one.group.name}"
        return f"{group}/providers/Microsoft.Resources/deployments/{one.name}"

    def _group_operation(self, call: Call) -> Reply:
        """https://learn.microsoft.com/en-us/azure/azure-resource-manager/management/async-operations"""
        group = self.inventory.groups.get(call.names["1"].lower())
        if group is None:
            return Reply(200)
        if group.failure:
            raise ArmError(409, group.failure.code, group.failure.words)
        where = f"{call.url}{call.names['path']}?api-version=2022-09-01"
        return Reply(202, headers={"Location": where, "Retry-After": "1"})

    def _deployment_operation(self, call: Call) -> Reply:
        state = self._deployment(call).state(self.inventory.now)
        return answer({"status": state})
