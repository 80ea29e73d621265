"""What the author of a provider says of the lab that the contract is tested in."""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import pytest

from spotdeploy import labels as label_rules
from spotdeploy.model import Batch, Created, Node, NodeState, Offer, Pool
from spotdeploy.ports import PortRange
from spotdeploy.provider import Provider, ProviderConfig, SupportsPrepare
from spotdeploy.testing.clock import Clock, SystemClock
from spotdeploy.testing.provider_contract.bounds import Patience, bounded

Power = TypeVar("Power")
CLOCKS_APART = 300.0
"""Seconds that the cloud's clock and the lab's may differ."""
USER_DATA = b"#cloud-boothook\n#!/bin/sh\ntrue\n"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is different from cloud to cloud, and from lab to lab. Times are in seconds."""

    free: bool = False
    """True where a node truly costs nothing: only then may a price be 0.0."""
    batch_create: bool = True
    """True where the cloud makes a whole batch in one call."""
    batch_destroy: bool = True
    """True where the cloud ends many nodes in one call."""
    binary_user_data: bool = True
    """False where the cloud takes only UTF-8 text for user-data."""
    unknown_id: str | None = None
    """A well-formed id of a node that never existed."""
    page_size: int = 10
    """The most nodes that one answer of the lab's cloud lists, or that one call ends: the tests
    make one more."""
    account: str | None = None
    """The id of the account that the lab's credentials belong to."""
    notice: str | None = None
    """What the notice command prints once an interruption was announced."""
    test_within: float = 10.0
    """A test that takes longer, by the computer's clock, fails; cleaning up after it may take as
    long again. When failed tests have lost twice as much in waiting, the others are skipped, and
    the last line says what was waited for."""
    at_once: float = 10.0
    """A method that must not wait returns within this."""
    listed_within: float = 60.0
    settle: float | None = None
    """How long after a request the lab may still list something new; None is the provider's
    `settle_seconds`."""
    gone_within: float = 120.0
    poll: float = 0.25
    """Between two questions while the tests wait."""
    user_data: bytes = USER_DATA
    """What the nodes of the tests boot with."""


@dataclass(frozen=True, slots=True)
class Powers:
    """What the lab can make happen; None where it cannot. Each acts on the next call."""

    no_capacity: Callable[[], None] | None = None
    """The first offer has no machine."""
    used_up_quota: Callable[[], None] | None = None
    limit_to: Callable[[int], None] | None = None
    """The first offer has so many machines and no more."""
    lose_reply: Callable[[], None] | None = None
    """The next call that makes machines takes effect, and its answer never comes."""
    throttle: Callable[[], None] | None = None
    """The cloud asks to slow down, longer than any retry inside the provider lasts."""
    outage: Callable[[], None] | None = None
    """Every call ends with an error of the cloud's own that is none of those above, and has no
    effect; until `heal`."""
    expire_credentials: Callable[[], None] | None = None
    protect: Callable[[Node], None] | None = None
    """The cloud refuses to end this node."""
    stop: Callable[[Node], None] | None = None
    """The node is stopped behind our back, and its disk stays billed."""
    interrupt: Callable[[Node], None] | None = None
    """The cloud takes the node back."""
    vanish: Callable[[Node], None] | None = None
    """The node ends without a word from the cloud."""
    user_data_of: Callable[[Node], bytes] | None = None
    """What the node was given to boot with."""
    openings: Callable[[Node], Iterable[tuple[int, str]]] | None = None
    """Which TCP ports of the node the cloud lets through, each with the CIDR that may reach it."""
    reaches: Callable[[Node, Node, PortRange], bool] | None = None
    """Whether the cloud lets through what the first node sends to this port, a range of one, of the
    second one's private address."""
    expires: Callable[[Node], float | None] | None = None
    """When the cloud itself ends the node, in Unix seconds; None when it was not told to. To be
    left out where the cloud has no such thing."""
    inventory: Callable[[], Iterable[str]] | None = None
    """Everything that really exists in the account, asked past the provider: with our labels or
    without any, billed or not. Each by a name of its own: of two machines of one name both are
    listed."""
    remains: Callable[[Mapping[str, str]], Sequence[str]] | None = None
    """Everything with these labels that the cloud itself still has, asked past the provider."""
    heal: Callable[[], None] | None = None
    """Undo all of the above that still stands: refusals, not what became of nodes. Called before
    each test cleans up."""


@dataclass(frozen=True)
class Lab:
    """A provider, one of its offers, and a deployment of its own for each test."""

    make_provider: Callable[[], Provider[Any]]
    provider: Provider[Any]
    offer: Offer
    deployment: str
    clock: Clock
    facts: Facts
    powers: Powers
    calls: Callable[[], int] | None
    made: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    requested_at: list[float] = field(default_factory=list)
    """By the lab's clock."""
    patience: Patience = field(default_factory=Patience)

    @property
    def scope(self) -> dict[str, str]:
        """The labels of everything that this test makes."""
        return label_rules.scope(self.deployment)

    @cached_property
    def beside(self) -> Lab:
        """The lab of another deployment, with a provider object of its own."""
        return replace(
            self,
            provider=self.make_provider(),
            deployment=f"{self.deployment}-b",
            made=set(),
            seen=set(),
            requested_at=[],
        )

    def batch(self, count: int = 1, run: str = "run-1") -> Batch:
        """A request with a token of its own."""
        token = f"{self.deployment}-{secrets.token_hex(4)}"
        expires_at = self.clock.now() + 3600
        return Batch(
            token=token,
            count=count,
            labels=label_rules.for_batch(self.deployment, run, token, "0" * 64, expires_at),
            user_data=self.facts.user_data,
            user="spotdeploy",
            allow_from=("198.51.100.7/32",),
            time_to_live=3600.0,
        )

    def request(self, batch: Batch) -> Created:
        """Ask for nodes of the first offer."""
        try:
            created = self.provider.create(self.offer, batch)
        finally:
            self.requested_at.append(self.clock.now())
        self.made.update(ids(created.nodes))
        _assert_named_once(created.nodes, "create()")
        return created

    def create(self, count: int = 1, run: str = "run-1") -> tuple[Node, ...]:
        """Make nodes and wait until they are listed."""
        nodes = self.request(self.batch(count, run)).nodes
        assert len(ids(nodes)) == count, f"asked for {count} nodes and got {len(ids(nodes))}"
        self.until_listed(nodes)
        return nodes

    def listed(self) -> dict[str, Node]:
        """The nodes of this test's deployment, by id. None may be listed twice."""
        nodes = self.provider.nodes(self.scope)
        found = {node.id: node for node in nodes}
        self.seen.update(found)
        _assert_named_once(nodes, "nodes()")
        return found

    def living(self) -> set[str]:
        """The ids of those that are not on their way out."""
        ending = (NodeState.GOING, NodeState.GONE)
        return {id_ for id_, node in self.listed().items() if node.state not in ending}

    def until_listed(self, nodes: Iterable[Node]) -> None:
        """Wait until all of these are listed."""
        desired = ids(nodes)
        self.until(
            lambda: desired <= self.listed().keys(),
            self.facts.listed_within,
            f"be listed: {', '.join(sorted(desired))}",
        )

    def until_gone(self, nodes: Iterable[Node]) -> None:
        """Wait until none of these is listed."""
        unwanted = ids(nodes)
        self.until(
            lambda: not unwanted & self.listed().keys(),
            self.facts.gone_within,
            f"be gone from nodes(): {', '.join(sorted(unwanted))}",
        )

    def settle(self) -> None:
        """Wait until a listing can no longer miss what was last asked for."""
        self.until(self._settled, math.inf, "settle")

    def until(self, true: Callable[[], bool], within: float, what: str | Callable[[], str]) -> None:
        """Wait for something. `within` is in seconds of the lab's clock; `what` completes "it took
        too long to", and is asked for only after `true` has said no."""
        deadline, began = self.clock.now() + within, time.monotonic()
        while not true():
            self.patience.awaited = what if isinstance(what, str) else what()
            if self.clock.now() >= deadline:
                waited_for = self.patience.awaited
                self.patience.lose(time.monotonic() - began, f"waiting for it to {waited_for}")
                raise AssertionError(f"it took more than {within:.0f}s to {waited_for}")
            self.clock.sleep(self.facts.poll)
        self.patience.awaited = ""

    def count_calls(self, action: Callable[[], object]) -> int:
        """How many calls an action makes; skips the test where the lab cannot count them."""
        counter = need(self.calls, "the `calls` fixture")
        before = counter()
        action()
        return counter() - before

    def takes(self, action: Callable[[], object]) -> float:
        """How long an action takes, by the lab's clock and by the computer's, the longer."""
        computer = SystemClock()
        before = self.clock.now(), computer.now()
        action()
        return max(self.clock.now() - before[0], computer.now() - before[1])

    def heal(self) -> None:
        """Let the cloud do everything again."""
        if self.powers.heal:
            self.powers.heal()

    def clean(self) -> None:
        """Destroy and release everything of this test, what is listed late too."""
        self.heal()
        within = self.facts.listed_within + self.facts.gone_within
        self.until(lambda: self._cleared() and self._cleared(), within, "be gone and released")

    def until_ended_in_one_call(self, nodes: Sequence[Node], inventory: Counter[str]) -> None:
        """Destroy these with one call, and wait until that has ended them: neither a listing nor
        the cloud has any more of them, which a second machine of the same id would be."""
        self.provider.destroy(nodes)
        self.until_gone(nodes)

        def is_as_before() -> bool:
            self.provider.release(self.provider.leftovers(self.scope))
            return self.inventory() <= inventory

        self.until(
            is_as_before,
            self.facts.gone_within,
            lambda: f"lose what one destroy has left: {_more(self.inventory(), inventory)}",
        )

    def inventory(self) -> Counter[str]:
        """What exists in the cloud, as far as the lab can tell: how often each name is there."""
        return Counter(self.powers.inventory() if self.powers.inventory else ())

    def until_as_before(self, inventory: Counter[str]) -> None:
        """Wait until nothing exists that is not in that inventory."""
        self.until(
            lambda: self.inventory() <= inventory,
            self.facts.gone_within,
            lambda: f"lose what no listing names: {_more(self.inventory(), inventory)}",
        )

    def _cleared(self) -> bool:
        """One round of cleaning. True when there was nothing, and nothing can be late any more."""
        settled = self._settled()
        listed = self.provider.nodes(self.scope)
        self.seen.update(ids(listed))
        self.provider.destroy([node for node in listed if node.state is not NodeState.GOING])
        self.provider.release(self.provider.leftovers(self.scope))
        nothing = not listed and not self.provider.leftovers(self.scope)
        return nothing and settled and self.made <= self.seen

    def _settled(self) -> bool:
        """False while the cloud may still list what was last asked for."""
        settle = self.facts.settle
        late = self.provider.settle_seconds if settle is None else settle
        return self.clock.now() >= max(self.requested_at, default=0.0) + late


def ids(nodes: Iterable[Node]) -> set[str]:
    """The ids of nodes."""
    return {node.id for node in nodes}


def _more(inventory: Counter[str], before: Counter[str]) -> str:
    return ", ".join(sorted((inventory - before).elements()))


def _assert_named_once(nodes: Iterable[Node], method: str) -> None:
    """Of what exists no two share an id or a name."""
    nodes = list(nodes)
    for kind, given in (
        ("id", [node.id for node in nodes]),
        ("name", [node.name for node in nodes]),
    ):
        twice = sorted(one for one, count in Counter(given).items() if count > 1)
        assert not twice, f"{method} gives the {kind} {', '.join(twice)} more than once"


def need(power: Power | None, name: str) -> Power:
    """Skip the test when the lab lacks this."""
    if power is None:
        pytest.skip(f"this lab does not have {name}")
    return power


class LabFixtures:
    """Fixtures: the author supplies the first two, and overrides others where the lab differs."""

    @pytest.fixture
    def provider_class(self) -> type[Provider[Any]]:
        """The class under test."""
        pytest.fail("supply a `provider_class` fixture: the provider's class")

    @pytest.fixture
    def config(self) -> ProviderConfig:
        """A config with which the provider reaches the lab."""
        pytest.fail("supply a `config` fixture: an instance of the provider's Config")

    @pytest.fixture
    def make_provider(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> Callable[[], Provider[Any]]:
        """Makes another object for the first location, as a second process would."""
        location = provider_class.locations(config)[0]
        return lambda: provider_class(config, location)

    @pytest.fixture
    def clock(self) -> Clock:
        """The lab's time."""
        return SystemClock()

    @pytest.fixture
    def calls(self) -> Callable[[], int] | None:
        """Tells how many calls have reached the cloud so far, or None."""
        return None

    @pytest.fixture
    def facts(self) -> Facts:
        """What is different in this cloud."""
        return Facts()

    @pytest.fixture
    def powers(self) -> Powers:
        """What the lab can make happen."""
        return Powers()

    @pytest.fixture
    def pool(self) -> Pool:
        """What the tests ask offers for."""
        return Pool(count=1)

    @pytest.fixture
    def cloud_libraries(self) -> Sequence[str]:
        """Modules that neither importing the class nor making an object may import."""
        return CLOUD_LIBRARIES

    @pytest.fixture
    def make_elsewhere(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> Callable[[], Provider[Any]] | None:
        """Makes an object for the second location, or None where the lab has one location. To be
        supplied together with `make_provider`."""
        others = provider_class.locations(config)[1:]
        owner = next(cls for cls in type(self).__mro__ if "make_provider" in vars(cls))
        if owner is not LabFixtures or not others:
            return None
        return lambda: provider_class(config, others[0])

    @pytest.fixture(scope="class")
    @classmethod
    def patience(cls) -> Patience:
        """Shared by all tests of a class."""
        return Patience()

    @pytest.fixture(autouse=True)
    def _bounded(
        self, facts: Facts, patience: Patience, request: pytest.FixtureRequest
    ) -> Iterator[None]:
        with bounded(facts.test_within, request.node.name, patience):
            yield

    @pytest.fixture
    def lab(
        self,
        make_provider: Callable[[], Provider[Any]],
        pool: Pool,
        clock: Clock,
        facts: Facts,
        powers: Powers,
        calls: Callable[[], int] | None,
        patience: Patience,
        request: pytest.FixtureRequest,
    ) -> Iterator[Lab]:
        """The lab as the tests use it; everything they made is destroyed in the end."""
        patience.skip_when_over(2 * facts.test_within)
        provider = make_provider()
        if isinstance(provider, SupportsPrepare):
            with bounded(PREPARED_WITHIN, "prepare", patience):
                provider.prepare(lambda _: None)
        deployment = f"contract-{secrets.token_hex(3)}"
        offers = provider.offers(pool)
        if not offers:
            patience.hopeless = f"no offer for policy {pool.policy}: override the fixture `pool`"
            pytest.fail(patience.hopeless, pytrace=False)
        lab = Lab(
            make_provider,
            provider,
            offers[0],
            deployment,
            clock,
            facts,
            powers,
            calls,
            patience=patience,
        )
        before = lab.inventory()
        yield lab
        with bounded(facts.test_within, f"cleaning up after {request.node.name}", patience):
            _clean(lab, before)


def _clean(lab: Lab, before: Counter[str]) -> None:
    lab.clean()
    if "beside" in vars(lab):
        lab.beside.clean()
    if lab.powers.remains:
        assert list(lab.powers.remains(lab.scope)) == [], "the test cleaned up, but not all of it"
    lab.until_as_before(before)


PREPARED_WITHIN = 900.0
CLOUD_LIBRARIES = (
    "libcloud",
    "boto3",
    "botocore",
    "google.auth",
    "google.cloud",
    "googleapiclient",
    "azure",
    "msal",
    "asyncssh",
    "requests",
    "httpx",
    "aiohttp",
)
