"""Fake providers with optional powers, each of which breaks one promise."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from spotdeploy import labels as names
from spotdeploy.model import Batch, Node, Pool, Problem, Resource
from spotdeploy.provider import SupportsAllLocations, SupportsDial, SupportsPlan, SupportsPrepare
from spotdeploy.testing import FakeConfig, FakeProvider
from tests.testing.teeth import caught_by

KEYS = FakeConfig.__struct_fields__


class Dialled(FakeProvider, SupportsDial):
    """Keeps the promises: the other end of a pair stands for the node."""

    def dial(self, node: Node, port: int, timeout: float) -> socket.socket:
        if node.id not in self.cloud.billed():
            raise ConnectionRefusedError("connection refused")
        here, there = socket.socketpair()
        there.close()
        return here

    def proxy_command(self, node: Node, port: int) -> Sequence[str]:
        return ("nc", node.id, str(port))


@caught_by("test_dialling_a_node_that_is_gone_raises_os_error")
class DialsTheGone(Dialled):
    def dial(self, node: Node, port: int, timeout: float) -> socket.socket:
        here, there = socket.socketpair()
        there.close()
        return here


@caught_by("test_a_running_node_can_be_dialled")
class DialsNobody(Dialled):
    def dial(self, node: Node, port: int, timeout: float) -> socket.socket:
        raise ConnectionRefusedError("connection refused")


@caught_by("test_the_proxy_command_is_a_list_of_words")
class GivesNoProxyCommand(Dialled):
    def proxy_command(self, node: Node, port: int) -> Sequence[str]:
        return ()


@caught_by("test_all_locations_names_the_location_of_a_node_and_none_twice")
class NamesAPlaceTwice(FakeProvider, SupportsAllLocations):
    def all_locations(self) -> Sequence[str]:
        return (*self.config.locations, self.location)


@caught_by("test_a_claim_has_its_labels_and_is_made_once", among_others=True)
class ClaimsWithoutATime(FakeProvider):
    def claim(self, labels: Mapping[str, str]) -> Resource:
        said = {key: value for key, value in labels.items() if key != names.EXPIRES}
        return super().claim(said)


@caught_by("test_a_claim_is_one_deployments", among_others=True)
class ClaimsForAll(FakeProvider):
    def claim(self, labels: Mapping[str, str]) -> Resource:
        made = self.leftovers({names.CLAIM: names.ANY})
        return made[0] if made else super().claim(labels)


@caught_by(
    "test_a_claim_that_is_held_is_given_to_whoever_asks",
    "test_of_many_who_claim_at_once_one_is_given_its_own",
    "test_releasing_a_claim_leaves_the_one_that_took_its_place",
)
class ClaimsForEverybody(FakeProvider):
    def claim(self, labels: Mapping[str, str]) -> Resource:
        return replace(super().claim(labels), labels=dict(labels))


@caught_by("test_a_request_that_the_cloud_takes_meets_no_objection")
class ObjectsToEverything(FakeProvider, SupportsPlan):
    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        return [Problem("it is Friday", "wait")]


@caught_by("test_objections_change_nothing_and_may_be_repeated", among_others=True)
class TriesItOut(FakeProvider, SupportsPlan):
    def objections(self, pool: Pool, batch: Batch) -> Sequence[Problem]:
        self.create(self.offers(pool)[0], batch)
        return ()


@caught_by("test_preparing_again_returns_at_once")
class PreparesEveryTime(FakeProvider, SupportsPrepare):
    def prepare(self, progress: Callable[[str], None]) -> None:
        progress("building the image")
        self.cloud.clock.sleep(50)


class PlainConfig:
    """Has every key, and is no ProviderConfig."""

    def __init__(self, state: str, locations: tuple[str, ...]) -> None:
        config = FakeConfig(state=state, locations=locations)
        vars(self).update({key: getattr(config, key) for key in KEYS})


@caught_by("test_the_config_is_frozen", "test_the_config_refuses_unknown_keys")
class TakesAnyObjectForAConfig(FakeProvider):
    Config = PlainConfig  # type: ignore[assignment]  # that is what is broken


@caught_by("test_destroyed_nodes_go", among_others=True)
class DestroysNothing(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        if nodes:
            self.cloud.ping("destroy", self.location)


@caught_by("test_nodes_lists_what_was_created")
class RenamesNodes(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [replace(node, name=node.id.upper()) for node in super().nodes(labels)]


@caught_by("test_nothing_is_left_after_destroy_and_release", among_others=True)
class ReleasesNothing(FakeProvider):
    def release(self, resources: Sequence[Resource]) -> None:
        if resources:
            self.cloud.ping("release", self.location)
