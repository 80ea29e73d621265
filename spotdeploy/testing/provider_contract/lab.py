"""What the author of a provider says of the lab that the contract is tested in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import pytest

from spotdeploy import labels as label_rules
from spotdeploy.model import Batch, Created, Node, NodeState, Offer, Pool
from spotdeploy.provider import Provider, ProviderConfig, SupportsPrepare
from spotdeploy.testing.clock import Clock, SystemClock

Power = TypeVar("Power")
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
    remains: Callable[[Mapping[str, str]], Sequence[str]] | None = None
    """Everything with these labels that the cloud itself still has, asked past the provider."""
    heal: Callable[[], None] | None = None
    """Undo all of the above that still stands; called before each test cleans up."""


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
        return created

    def create(self, count: int = 1, run: str = "run-1") -> tuple[Node, ...]:
        """Make nodes and wait until they are listed."""
        nodes = self.request(self.batch(count, run)).nodes
        assert len(nodes) == count, f"asked for {count} nodes and got {len(nodes)}"
        self.until_listed(nodes)
        return nodes

    def listed(self) -> dict[str, Node]:
        """The nodes of this test's deployment, by id."""
        found = {node.id: node for node in self.provider.nodes(self.scope)}
        self.seen.update(found)
        return found

    def living(self) -> set[str]:
        """The ids of those that are not on their way out."""
        ending = (NodeState.GOING, NodeState.GONE)
        return {id_ for id_, node in self.listed().items() if node.state not in ending}

    def until_listed(self, nodes: Iterable[Node]) -> None:
        """Wait until all of these are listed."""
        desired = ids(nodes)
        self.until(lambda: desired <= self.listed().keys(), self.facts.listed_within, "be listed")

    def until_gone(self, nodes: Iterable[Node]) -> None:
        """Wait until none of these is listed."""
        unwanted = ids(nodes)
        self.until(lambda: not unwanted & self.listed().keys(), self.facts.gone_within, "be gone")

    def until(self, true: Callable[[], bool], within: float, what: str) -> None:
        """Wait for something."""
        deadline = self.clock.now() + within
        while not true():
            assert self.clock.now() < deadline, f"it took more than {within:.0f}s to {what}"
            self.clock.sleep(self.facts.poll)

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

    def clean(self) -> None:
        """Destroy and release everything of this test, what is listed late too."""
        if self.powers.heal:
            self.powers.heal()
        within = self.facts.listed_within + self.facts.gone_within
        self.until(lambda: self._cleared() and self._cleared(), within, "be gone and released")

    def _cleared(self) -> bool:
        """One round of cleaning. True when there was nothing, and nothing can be late any more."""
        settled = self._settled()
        listed = self.listed().values()
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
    def lab(
        self,
        make_provider: Callable[[], Provider[Any]],
        pool: Pool,
        clock: Clock,
        facts: Facts,
        powers: Powers,
        calls: Callable[[], int] | None,
    ) -> Iterator[Lab]:
        """The lab as the tests use it; everything they made is destroyed in the end."""
        provider = make_provider()
        if isinstance(provider, SupportsPrepare):
            provider.prepare(lambda _: None)
        deployment = f"contract-{secrets.token_hex(3)}"
        offer = provider.offers(pool)[0]
        lab = Lab(make_provider, provider, offer, deployment, clock, facts, powers, calls)
        yield lab
        lab.clean()
        if "beside" in vars(lab):
            lab.beside.clean()
        if powers.remains:
            assert list(powers.remains(lab.scope)) == [], "the test cleaned up, but not all of it"


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
