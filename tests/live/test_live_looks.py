"""What a live test sees of providers that keep their promises, and of others that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spotdeploy import labels as names
from spotdeploy.duration import Duration
from spotdeploy.errors import ProviderError, RefusedError
from spotdeploy.events import Bus
from spotdeploy.live import looks
from spotdeploy.live.findings import Answer, Findings, Promise
from spotdeploy.live.trial import live_project, live_test
from spotdeploy.model import Batch, Created, Fate, FateKind, Node, Offer, Pool, Resource
from spotdeploy.plugins import Plugins
from spotdeploy.project import Project
from spotdeploy.provider import SupportsAllLocations, SupportsInterruptionNotice
from spotdeploy.testing.fake.cloud import FakeCloud
from spotdeploy.testing.fake.provider import FakeProvider
from spotdeploy.testing.fake.store import FileStore

SSH = "the node ran its user-data and answers by ssh"
"""Never kept by the fake cloud, whose nodes answer nobody."""
Trial = Callable[..., Findings]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A live test of the fake cloud, in a hurry."""
    monkeypatch.setattr(looks, "PAUSE", 0.05)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spotdeploy.toml").write_text(
        'deployment = "demo"\n[timeouts]\nboot = "2s"\ndestroy = "5s"\n'
    )
    return live_project(Path("spotdeploy.toml"), "fake", 0.5)


@pytest.fixture
def cloud(project: Project) -> FakeCloud:
    return FakeCloud(FileStore(Path(".spotdeploy/fake-cloud.json")))


@pytest.fixture
def trial(project: Project, monkeypatch: pytest.MonkeyPatch) -> Trial:
    def run(
        cls: type[FakeProvider] = FakeProvider,
        told: Callable[[Promise], None] = lambda _: None,
        **table: object,
    ) -> Findings:
        monkeypatch.setattr(Plugins, "provider", lambda *_: cls)
        config = msgspec.structs.replace(project.config, provider={"fake": table})
        settings = msgspec.structs.replace(project.settings, config=config)
        found, _ = asyncio.run(live_test(replace(project, settings=settings), Bus(), told))
        return found

    return run


def answers(found: Findings) -> dict[str, Answer]:
    return {one.text: one.answer for one in found.promises}


class NoticingProvider(FakeProvider, SupportsInterruptionNotice, SupportsAllLocations):
    def notice_command(self) -> Sequence[str]:
        return ("true",)

    def notice(self, output: str) -> Fate | None:
        return None

    def all_locations(self) -> Sequence[str]:
        return ("there", "here")


def test_a_right_provider_keeps_all_that_its_cloud_can_show(trial: Trial, cloud: FakeCloud) -> None:
    found = trial(NoticingProvider)
    assert [one.text for one in found.broken] == [SSH]
    not_shown = [one for one in found.promises if one.answer is Answer.NOT_SHOWN]
    assert {one.text.split()[0] for one in not_shown} == {"user-data", "no"}
    assert all("does not answer" in one.detail for one in not_shown)
    assert found.left == ()
    assert cloud.billed() == []
    assert [one.code for one in found.refusals] == ["InvalidZone"]
    taken = {one.what: one.seconds for one in found.timings}
    assert 0.4 < taken["a destroyed node is gone"] < 9.0


class BlindProvider(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        try:
            return super().nodes(labels)
        except ValueError:
            return []


class OpenProvider(FakeProvider):
    def leftovers(self, labels: Mapping[str, str]) -> Sequence[Resource]:
        if labels:
            return super().leftovers(labels)
        return [Resource("disk", "d-1", self.name, self.location)]


class AnyZoneProvider(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        zone = self.config.zones[0]
        return super().create(msgspec.structs.replace(offer, zone=zone), batch)


class ForgetfulProvider(FakeProvider):
    def create(self, offer: Offer, batch: Batch) -> Created:
        kept = {key: value for key, value in batch.labels.items() if key != names.DIGEST}
        return super().create(offer, msgspec.structs.replace(batch, labels=kept))


class TwiceProvider(FakeProvider):
    calls = 0

    def create(self, offer: Offer, batch: Batch) -> Created:
        type(self).calls += 1
        token = f"{batch.token}-{self.calls}"
        return super().create(offer, msgspec.structs.replace(batch, token=token))


class GenerousProvider(FakeProvider):
    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return super().nodes({names.DEPLOYMENT: labels.get(names.DEPLOYMENT, "")})


class PrivateProvider(FakeProvider):
    """Lists what this very object made, and nothing else."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made: set[str] = set()

    def create(self, offer: Offer, batch: Batch) -> Created:
        created = super().create(offer, batch)
        self.made |= {node.id for node in created.nodes}
        return created

    def nodes(self, labels: Mapping[str, str]) -> Sequence[Node]:
        return [node for node in super().nodes(labels) if node.id in self.made]


class GloomyProvider(FakeProvider):
    def fate(self, node: Node) -> Fate:
        return Fate(FateKind.VANISHED, "gone")


class CheerfulProvider(FakeProvider):
    def fate(self, node: Node) -> Fate:
        return Fate(FateKind.ALIVE)


class NamelessProvider(FakeProvider):
    def account(self) -> str:
        return ""


class GreedyProvider(FakeProvider):
    """Claims for whoever asks last."""

    def claim(self, labels: Mapping[str, str]) -> Resource:
        found = [one for one in self.leftovers(names.anyones()) if names.CLAIM in one.labels]
        self.release(found)
        return super().claim(labels)


class OnceProvider(FakeProvider):
    def destroy(self, nodes: Sequence[Node]) -> None:
        there = {node.id for node in self.nodes(names.anyones())}
        for node in nodes:
            if node.id not in there:
                raise ProviderError(f"{node.id} does not exist", code="NotFound")
        super().destroy(nodes)


class BuggyProvider(FakeProvider):
    def console(self, node: Node) -> str:
        raise KeyError("Output")


class StuckProvider(NoticingProvider):
    def all_locations(self) -> Sequence[str]:
        return ("there",)


@pytest.mark.parametrize(
    ("cls", "promise"),
    [
        (NamelessProvider, "account() tells"),
        (StuckProvider, "all_locations() has"),
        (BlindProvider, "a listing by no labels names nothing"),
        (OpenProvider, "a listing by no labels names nothing"),
        (GreedyProvider, "a claim is made once"),
        (AnyZoneProvider, "a create in a zone that does not exist"),
        (ForgetfulProvider, "create() makes one node with all labels"),
        (TwiceProvider, "the same token makes no second node"),
        (GenerousProvider, "the node is listed by each label, and by no other's"),
        (PrivateProvider, "another object"),
        (GloomyProvider, "fate() says that it is alive"),
        (CheerfulProvider, "fate() says that it is not alive"),
        (OnceProvider, "destroy() ends it, and may be repeated"),
        (BuggyProvider, "console() can be asked"),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else "",
)
def test_a_wrong_provider_is_found_out_and_nothing_of_it_is_left(
    trial: Trial, cloud: FakeCloud, cls: type[FakeProvider], promise: str
) -> None:
    found = trial(cls)
    broken = {one.text for one in found.broken} - {SSH}
    assert [text for text in broken if text.startswith(promise)], broken
    assert cloud.billed() == []
    assert found.left == ()


def test_a_listing_later_than_promised_is_a_broken_promise_with_its_time(trial: Trial) -> None:
    found = trial(faults=[{"kind": "unlisted", "seconds": 1.5}])
    late = next(one for one in found.promises if one.text.startswith("the node is listed"))
    assert late.answer is Answer.BROKEN
    assert "0s are promised" in late.detail
    taken = {one.what: one.seconds for one in found.timings}
    assert 1.2 < taken["a new node is listed"] < 6.0


def test_it_is_none_when_the_config_allows_for_it(trial: Trial) -> None:
    found = trial(faults=[{"kind": "unlisted", "seconds": 1.0}], settle_seconds="3s")
    assert [one.text for one in found.broken] == [SSH]


def test_a_cloud_that_has_no_node_leaves_the_rest_unshown(trial: Trial, cloud: FakeCloud) -> None:
    found = trial(faults=[{"kind": "no-capacity"}])
    assert "no capacity" in next(o for o in found.broken if o.text.startswith("create()")).detail
    about_it = found.promises[
        [one.text for one in found.promises].index("it runs and has an address") :
    ]
    assert {one.answer for one in about_it} == {Answer.NOT_SHOWN}
    assert "there is no node" in {one.detail for one in about_it}
    assert cloud.billed() == []


@pytest.mark.parametrize("price", [0.8, None])
def test_what_may_cost_more_than_the_cap_is_refused_before_anything_is_made(
    trial: Trial, cloud: FakeCloud, price: float | None
) -> None:
    prices = {} if price is None else {"small": 4 * price, "large": 4 * price}
    with pytest.raises(RefusedError, match=r"known to be 0\.5 USD per hour or less"):
        trial(prices=prices)
    assert cloud.count("create") == 0


def test_the_cheapest_offer_is_taken(trial: Trial) -> None:
    assert trial(prices={"small": 0.6, "large": 0.2}).size == "large"


def test_an_offer_that_its_provider_should_have_left_out_is_not_taken(trial: Trial) -> None:
    class Deaf(FakeProvider):
        def offers(self, pool: Pool) -> Sequence[Offer]:
            return super().offers(msgspec.structs.replace(pool, max_usd_per_hour=None))

    assert trial(Deaf, prices={"small": 9.0, "large": 0.4}).size == "large"


def test_what_cannot_be_proven_gone_is_told_with_the_way_to_end_it(trial: Trial) -> None:
    (left,) = {one for one in trial(faults=[{"kind": "stuck", "times": 0}]).left if "m-" in one}
    assert "remove live-" in left or "remove m-" in left


@pytest.mark.parametrize("after", ["account()", "create()", "fate() says that it is alive"])
def test_whatever_stops_it_ends_what_was_made_first(
    trial: Trial, cloud: FakeCloud, after: str
) -> None:
    def stop(promise: Promise) -> None:
        if promise.text.startswith(after):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    found = trial(told=stop)
    assert found.stopped
    assert found.left == ()
    assert cloud.billed() == []


def test_a_time_to_live_bounds_what_a_killed_test_costs(project: Project) -> None:
    nodes = project.config.nodes
    assert nodes.time_to_live == Duration("30m")
    assert nodes.max_price == 0.5
