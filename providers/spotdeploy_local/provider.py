"""The provider `local`: real machines on this host, at no price."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from msgspec.structs import replace

from spotdeploy.errors import CapacityError, HostError
from spotdeploy.model import Batch, Cached, Created, Fate, Node, Offer, Pool, Problem, Resource
from spotdeploy.provider import (
    BaseProvider,
    SupportsClaims,
    SupportsConsole,
    SupportsDial,
    SupportsPlan,
    SupportsPrepare,
    SupportsPrune,
)
from spotdeploy_local import claims, convert
from spotdeploy_local.config import LocalConfig
from spotdeploy_local.engine import Engine
from spotdeploy_local.engines.choice import LocalEngines
from spotdeploy_local.layout import Layout

SIZE = "container"


class LocalProvider(
    BaseProvider[LocalConfig],
    SupportsClaims,
    SupportsConsole,
    SupportsDial,
    SupportsPlan,
    SupportsPrepare,
    SupportsPrune,
):
    """Machines from an engine. One network per deployment; open ports are also offered to this
    host's browsers on `Node.address`."""

    name: ClassVar[str] = convert.PROVIDER
    Config: ClassVar[type[LocalConfig]] = LocalConfig
    poll_seconds: ClassVar[float] = 0.2

    @classmethod
    def locations(cls, config: LocalConfig) -> Sequence[str]:
        del config
        return (convert.LOCATION,)

    def __init__(self, config: LocalConfig, location: str, engine: Engine | None = None) -> None:
        super().__init__(config, location)
        layout = Layout.from_environment()
        self.engine = engine or LocalEngines(
            layout, config.engine, config.image, nested=config.nested
        )
        self._claims = claims.Claims(layout.claims)

    def doctor(self) -> Sequence[Problem]:
        return [
            replace(problem, exit_code=HostError.exit_code) for problem in self.engine.problems()
        ]

    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        del pool
        found = self.engine.filter_problems() if batch.open_between else ()
        return [replace(problem, exit_code=HostError.exit_code) for problem in found]

    def find_offers(self, pool: Pool) -> Sequence[Offer]:
        return [
            Offer(self.name, self.location, None, SIZE, market, 0.0)
            for market in pool.policy.markets
        ]

    def prepare(self, progress: Callable[[str], None]) -> None:
        self.engine.prepare(progress, cloud_init=self.config.cloud_init)

    def cached(self) -> Sequence[Cached]:
        return self.engine.cached(cloud_init=self.config.cloud_init)

    def discard(self, things: Sequence[Cached]) -> Sequence[Cached]:
        return self.engine.discard(things)

    def create(self, offer: Offer, batch: Batch) -> Created:
        config = self.config
        specs = convert.specs(offer, batch, cloud_init=config.cloud_init, nested=config.nested)
        known = {machine.id for machine in self.engine.machines()}
        new = sum(spec.id not in known for spec in specs)
        fitting = specs[: len(specs) - new + min(new, self.engine.room())]
        if not fitting:
            raise CapacityError("this host has no memory for another machine")
        started = self.engine.start_all(fitting)
        missing = "" if len(fitting) == len(specs) else "this host has no memory for more"
        shortfall = "; ".join(dict.fromkeys([*started.failures.values(), *filter(None, [missing])]))
        if started.failures and not started.machines:
            raise CapacityError(f"no machine started: {shortfall}")
        return Created(tuple(convert.node(one) for one in started.machines), shortfall or None)

    def find_nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        del labels
        return [convert.node(one) for one in self.engine.machines()]

    def end_nodes(self, nodes: Sequence[Node]) -> None:
        self.engine.destroy([node.id for node in nodes])

    def find_leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        leftovers = (*self.engine.leftovers(), *self._claims.find())
        return [convert.resource(leftover, labels) for leftover in leftovers]

    def delete_leftovers(self, resources: Sequence[Resource]) -> None:
        of_engine = [one for one in resources if one.kind != claims.KIND]
        for resource in resources:
            if resource.kind == claims.KIND:
                self._claims.remove(resource.id)
        if of_engine:
            self.engine.release([convert.leftover(resource) for resource in of_engine])

    def claim(self, labels: Mapping[str, str]) -> Resource:
        return convert.resource(self._claims.make(labels), labels)

    def fate(self, node: Node) -> Fate:
        found = (machine for machine in self.engine.machines() if machine.id == node.id)
        return convert.fate(next(found, None))

    def auto_shutdown(self) -> str:
        return self.engine.auto_shutdown()

    def manual_delete_command(self, thing: Node | Resource) -> str:
        kind = thing.kind if isinstance(thing, Resource) else "machine"
        if kind == claims.KIND:
            return self._claims.manual_delete_command(thing.id)
        return self.engine.manual_delete_command(kind, thing.id)

    def manual_list_command(self, labels: Mapping[str, str]) -> str:
        return self.engine.manual_list_command(list(labels.values()))

    def console(self, node: Node) -> str:
        return self.engine.console(node.id)

    def dial(self, node: Node, port: int, timeout: float) -> socket.socket:
        return self.engine.dial(node.id, port, timeout)

    def proxy_command(self, node: Node, port: int) -> Sequence[str]:
        return self.engine.proxy_command(node.id, port)
