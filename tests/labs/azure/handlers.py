"""What answers to calls have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from tests.labs.azure.call import ArmError, Call, Json, Reply, answer
from tests.labs.azure.inventory import Inventory
from tests.labs.azure.state import Group

PAGE = 20
GROUP = "/subscriptions/{}/resourcegroups/{}"
DEPLOYMENT = f"{GROUP}/providers/microsoft.resources/deployments/{{}}"
MACHINES = f"{GROUP}/providers/microsoft.compute/virtualmachines"
MACHINE = f"{MACHINES}/{{}}"
Behaviours: TypeAlias = Mapping[str, Callable[[Call], Reply]]
"""Operation to what answers it."""


@dataclass
class Handlers:
    """Answers some of the calls."""

    inventory: Inventory

    def group(self, call: Call) -> Group:
        """The group that a call names. Raises ArmError."""
        group = self.inventory.groups.get(call.names["1"].lower())
        if group is None:
            words = f"Resource group '{call.names['1']}' could not be found."
            raise ArmError(404, "ResourceGroupNotFound", words)
        return group

    def page(self, call: Call, items: Sequence[Json]) -> Reply:
        """One page of a listing."""
        start = int(call.query.get("$skiptoken", "0"))
        page: Json = {"value": items[start : start + PAGE]}
        if start + PAGE < len(items):
            query = "&".join(
                f"{key}={quote(value, '')}" for key, value in _rest(call.query).items()
            )
            path = call.names["path"]
            page["nextLink"] = f"{call.url}{path}?{query}&%24skiptoken={start + PAGE}"
        return answer(page)


def locked(id_: str) -> ArmError:
    """The refusal to delete what is locked."""
    words = (
        f"The scope '{id_}' cannot perform delete operation because following scope(s) are "
        f"locked: '{id_}'. Please remove the lock and try again."
    )
    return ArmError(409, "ScopeLocked", words)


def _rest(query: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in query.items() if key != "$skiptoken"}
