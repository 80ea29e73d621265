"""Every refusal of the clouds' tables, made to happen to a run, and whether it reaches too far.

A run is played in this process, by the phases themselves: nodes are asked for, taken as good, and
destroyed. A create that is refused is refused wherever the offer is asked for again; every other
offer is short of capacity where the cloud is alone (then what was asked is the whole walk), and
has nodes where another location and another cloud are beside it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from spotdeploy.api import Project
from spotdeploy.cycle.policy import Progress, conclude, end_by_policy
from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.events import Bus
from spotdeploy.model import Market, Offer, Verdict
from spotdeploy.phases.destroy import destroy
from spotdeploy.phases.plan import find_offers, read_plans
from spotdeploy.refusals import ErrorTable
from spotdeploy.run.context import open_run
from spotdeploy.run.verdict import Outcome
from spotdeploy_aws import errors as aws_errors
from spotdeploy_azure import errors as azure_errors
from spotdeploy_gcp import errors as gcp_errors
from tests.labs.aws import AwsLab
from tests.labs.aws.call import AwsError, get
from tests.labs.aws.lab import REGIONS
from tests.labs.aws.quotas import quota_of
from tests.labs.azure import AzureLab
from tests.labs.azure.call import ArmError
from tests.labs.clouds import AWS, AZURE, GCP, AnyLab, Cloud
from tests.labs.fault_queue import Fault
from tests.labs.gcp import GcpLab
from tests.labs.gcp.call import GoogleError
from tests.labs.gcp.faults import Trouble as GcpTrouble
from tests.labs.phase_run import make_nodes, write_project

NEW = "SomethingNobodyKnows"
"""A code that is in no table."""
WORDS = "the lab says no to this"
MANY = 1_000_000
SHARE = 2
"""Nodes that are asked of each location at first."""


class Position(StrEnum):
    """What is refused."""

    FIRST = "the first create"
    SECOND = "the second create, after a partial fill"
    LISTING = "the listing of a destroy"


class Company(StrEnum):
    """What else there is."""

    ALONE = "alone"
    BESIDE = "beside another location and another cloud"


class Asked(NamedTuple):
    """A create call, as the cloud got it."""

    location: str
    zone: str | None
    size: str
    market: Market


@dataclass(frozen=True)
class Refusal:
    """One case."""

    cloud: str
    code: str
    position: Position
    company: Company

    @property
    def id(self) -> str:
        """For people, and for pytest's -k."""
        company = "alone" if self.company is Company.ALONE else "beside"
        return f"{self.cloud}-{self.code}-{self.position.name.lower()}-{company}"

    @property
    def count(self) -> int:
        """Nodes of each cloud."""
        return SHARE * (1 if self.company is Company.ALONE else 2)

    @property
    def where(self) -> str:
        """As the page names it."""
        return f"{self.cloud} lab"

    @property
    def row(self) -> str:
        """The page's line that it shares with the other codes."""
        return f"{self.position} is refused, {self.company}, with each code of the table"


class Refuser(ABC):
    """A cloud that refuses."""

    cloud: ClassVar[Cloud]
    codes: ClassVar[ErrorTable]
    unknown_outcome: ClassVar[frozenset[str]]
    """After these a create call may have taken effect all the same."""
    here: ClassVar[str]
    there: ClassVar[str]
    arm: ClassVar[str]
    """The one size that boots another image than the others."""
    lab: Any

    def __init__(self, lab: AnyLab) -> None:
        self.lab = lab

    @classmethod
    def table(cls) -> Iterator[str]:
        """Every code of the cloud's table, and one that is in none."""
        codes = cls.codes
        known = codes.capacity | codes.quota | codes.credentials | codes.throttled
        yield from sorted(known | codes.reach.keys() | codes.hints.keys())
        yield NEW

    def kind(self, code: str) -> type[ProviderError]:
        """What the table takes a code for."""
        return type(self.codes.error(code, WORDS, 400, ""))

    def reach(self, code: str) -> Reach:
        """How far the table lets a refused create reach."""
        if code in self.unknown_outcome:
            return Reach.PROVIDER
        return self.codes.error(code, WORDS, 400, "").reach

    @abstractmethod
    def family(self, size: str, market: Market) -> str:
        """Which sizes one quota counts together, as the lab has it."""

    @abstractmethod
    def keys(self, company: Company) -> dict[str, Any]:
        """`[provider.NAME]`: sizes of more than one family, and more than one zone where the cloud
        has zones."""

    @abstractmethod
    def limit(self, left: int, offer: Offer) -> None:
        """Let an offer give only so many."""

    @abstractmethod
    def error(self, code: str) -> Any:
        """The refusal of a call."""

    @abstractmethod
    def asked(self, call: Any) -> Asked:
        """What a create call asks for."""

    def refuse(self, offer: Offer, code: str) -> None:
        """Refuse an offer for ever."""
        create, place = self.cloud.create, _place(offer)

        def of_offer(call: Any) -> bool:
            return self.asked(call) == place

        self.lab.faults.queue.append(Fault(create, MANY, self.error(code), when=of_offer))

    def refuse_listing(self, code: str, times: int) -> None:
        """Refuse to list the nodes of the first location."""

        def of_location(call: Any) -> bool:
            return self.lists_here(call)

        fault = Fault(self.cloud.listing, times, self.error(code), when=of_location)
        self.lab.faults.queue.append(fault)

    def lists_here(self, call: Any) -> bool:
        """True for a listing that is of the first location."""
        del call
        return True

    def walk(self) -> list[Asked]:
        """The offers that were asked for, each as often as it came."""
        mine = (
            call for call in self.lab.calls if self.lab.faults.name_of(call) == self.cloud.create
        )
        return [self.asked(call) for call in mine]


class AwsRefuser(Refuser):
    """EC2 in two regions."""

    cloud = AWS
    codes = aws_errors.CODES
    unknown_outcome = aws_errors.UNKNOWN_OUTCOME
    here, there = REGIONS
    arm = "t4g.small"
    lab: AwsLab

    def __init__(self, lab: AnyLab) -> None:
        super().__init__(lab)
        self._zones = dict(_subnets(self.lab))

    def family(self, size: str, market: Market) -> str:
        quota = quota_of(size, market)
        return quota.code if quota else size

    def keys(self, company: Company) -> dict[str, Any]:
        regions = [self.here] if company is Company.ALONE else [self.here, self.there]
        near = [s for s, zone in self._zones.items() if zone[:-1] == self.here]
        far = [s for s, zone in self._zones.items() if zone[:-1] == self.there]
        sizes = ["t3.small", self.arm, "g4dn.xlarge"]
        subnets = near[:2] if company is Company.ALONE else near[:2] + far[:1]
        return {"regions": regions, "sizes": sizes, "subnets": subnets}

    def limit(self, left: int, offer: Offer) -> None:
        place = offer.zone, offer.size, offer.market
        self.lab.faults.limit(left, zone=place[0], size=place[1], market=place[2])

    def error(self, code: str) -> AwsError:
        return AwsError(code, WORDS, _status(self, code, capacity=500))

    def asked(self, call: Any) -> Asked:
        given = call.parameters
        market = Market(given.get("InstanceMarketOptions.MarketType", "on-demand"))
        zone = self._zones[given["NetworkInterface.1.SubnetId"]]
        return Asked(call.region, zone, given["InstanceType"], market)

    def lists_here(self, call: Any) -> bool:
        return bool(call.region == self.here)


class GcpRefuser(Refuser):
    """Compute Engine in two regions."""

    cloud = GCP
    codes = gcp_errors.CODES
    unknown_outcome = gcp_errors.UNKNOWN_OUTCOME
    here, there = "us-central1", "europe-west4"
    arm = "t2a-standard-1"
    lab: GcpLab

    def family(self, size: str, market: Market) -> str:
        series = size.partition("-")[0]
        return "cpus" if series == "e2" else series

    def keys(self, company: Company) -> dict[str, Any]:
        regions = [self.here] if company is Company.ALONE else [self.here, self.there]
        zones = ["us-central1-a", "us-central1-b"]
        zones += [] if company is Company.ALONE else ["europe-west4-a"]
        sizes = ["e2-small", "e2-medium", "n2-standard-2", self.arm]
        return {"regions": regions, "zones": zones, "sizes": sizes}

    def refuse(self, offer: Offer, code: str) -> None:
        """Errors in capitals come with the operation, unless they are of the call itself:
        https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability
        """
        if not code.isupper() or self.kind(code) in (CredentialsError, ThrottledError):
            super().refuse(offer, code)
            return
        market = _GOOGLE[offer.market]
        trouble = GcpTrouble(code, WORDS)
        self.lab.faults.limit(0, zone=offer.zone, size=offer.size, market=market, trouble=trouble)

    def limit(self, left: int, offer: Offer) -> None:
        market = _GOOGLE[offer.market]
        self.lab.faults.limit(left, zone=offer.zone, size=offer.size, market=market)

    def error(self, code: str) -> GoogleError:
        return GoogleError(_status(self, code, capacity=503), code, WORDS)

    def asked(self, call: Any) -> Asked:
        zone, properties = call.name("zone"), call.body["instanceProperties"]
        spot = properties["scheduling"].get("provisioningModel") == "SPOT"
        market = Market.SPOT if spot else Market.ON_DEMAND
        return Asked(zone.rpartition("-")[0], zone, properties["machineType"], market)


class AzureRefuser(Refuser):
    """A Resource Manager in two locations."""

    cloud = AZURE
    codes = azure_errors.CODES
    unknown_outcome = azure_errors.UNKNOWN_OUTCOME
    here, there = "eastus", "westeurope"
    arm = "Standard_D2ps_v5"
    lab: AzureLab

    def __init__(self, lab: AnyLab) -> None:
        super().__init__(lab)
        timing = self.lab.timing
        timing.deploying = timing.allocating = timing.booting = 0.0
        timing.going = timing.group_going = 0.05

    def family(self, size: str, market: Market) -> str:
        del market
        return re.sub(r"\d", "", size)

    def keys(self, company: Company) -> dict[str, Any]:
        locations = [self.here] if company is Company.ALONE else [self.here, self.there]
        sizes = ["Standard_D2as_v5", "Standard_D2s_v5", self.arm]
        return {"locations": locations, "sizes": sizes}

    def error(self, code: str) -> ArmError:
        """What keeps a whole deployment from beginning is inside another error:
        https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/find-error-code
        """
        if self.kind(code) in (CapacityError, QuotaError):
            return ArmError(400, "InvalidTemplateDeployment", "see inner errors", [_inner(code)])
        return ArmError(_status(self, code, capacity=409), code, WORDS)

    def limit(self, left: int, offer: Offer) -> None:
        self.lab.faults.limit(left, size=offer.size, market=_MICROSOFT[offer.market])

    def asked(self, call: Any) -> Asked:
        (machine,) = _resources(call.body, "Microsoft.Compute/virtualMachines")
        spot = machine["properties"].get("priority") == "Spot"
        location, size = machine["location"], machine["properties"]["hardwareProfile"]["vmSize"]
        return Asked(location, None, size, Market.SPOT if spot else Market.ON_DEMAND)


REFUSERS: Mapping[str, type[Refuser]] = {
    one.cloud.name: one for one in (AwsRefuser, GcpRefuser, AzureRefuser)
}
_GOOGLE = {Market.SPOT: "SPOT", Market.ON_DEMAND: "STANDARD"}
_MICROSOFT = {Market.SPOT: "Spot", Market.ON_DEMAND: "Regular"}


def refusals() -> Iterator[Refusal]:
    """Every case."""
    for name, refuser in REFUSERS.items():
        for code in refuser.table():
            for position in Position:
                for company in Company:
                    yield Refusal(name, code, position, company)


@dataclass(frozen=True)
class Played:
    """How a case went."""

    outcome: Outcome
    left: Sequence[str]
    """What the cloud had in the end."""
    problems: Sequence[str]
    """Everything that must not be; empty when the case passed."""


async def play(case: Refusal, refuser: Refuser, folder: Path) -> Played:
    """Play a case. The cloud must be empty, and its environment set."""
    project = _project(case, refuser, folder)
    with open_run(project, read_plans(project), Bus()) as run:
        prospects = await find_offers(run)
        offers = prospects.offers[run.group][case.cloud]
        refused = _script(case, refuser, offers)
        refuser.lab.forget_calls()
        progress = await make_nodes(run, prospects.offers)
        walk = refuser.walk()
        if case.position is Position.LISTING:
            endless = refuser.kind(case.code) is CredentialsError
            refuser.refuse_listing(case.code, MANY if endless else 1)
        await end_by_policy(run, progress)
        outcome = conclude(run, progress)
    problems = [
        *_wrong_verdict(case, refuser, outcome, progress),
        *_untold(case, refuser, outcome),
        *_lonely(case, outcome, progress),
    ]
    if refused:
        problems += _wrong_walk(case, refuser, walk, offers, refused, progress)
    if outcome.verdict is not Verdict.LEAKED:
        problems += [f"{what} was left, and not told" for what in refuser.lab.remains()]
    refuser.lab.faults.clear()
    with open_run(project, read_plans(project), Bus()) as run:
        receipt = await destroy(run)
    left = [*receipt.left, *refuser.lab.remains()]
    problems += [f"{what} is left" for what in left]
    return Played(outcome, left, [*problems, *refuser.lab.wrong])


def _project(case: Refusal, refuser: Refuser, folder: Path) -> Project:
    tables = {case.cloud: {**refuser.lab.table, **refuser.keys(case.company)}}
    if case.company is Company.BESIDE:
        tables["fake"] = {"state": str(folder / "fake.json")}
    return write_project(folder, tables, case.count)


def _script(case: Refusal, refuser: Refuser, offers: Sequence[Offer]) -> Offer | None:
    """Let it go wrong. Gives the offer that is refused with the case's code, if one is."""
    here = [offer for offer in offers if offer.location == refuser.here]
    if case.position is Position.LISTING:
        return None
    refused = here[0]
    if case.position is Position.SECOND:
        refuser.limit(1, here[0])
        refused = here[1]
    refuser.refuse(refused, case.code)
    if case.company is Company.ALONE:
        for offer in here:
            if offer != refused and (case.position is Position.FIRST or offer != here[0]):
                refuser.limit(0, offer)
    return refused


def _wrong_walk(
    case: Refusal,
    refuser: Refuser,
    walk: Sequence[Asked],
    offers: Sequence[Offer],
    refused: Offer,
    progress: Progress,
) -> Iterator[str]:
    """What is asked after the refusal is exactly what it does not cover."""
    reach = refuser.reach(case.code)
    covered = {_place(one) for one in offers if _covers(refuser, reach, refused, one)}
    asked, at = list(walk), list(walk).index(_place(refused))
    for place in asked[at:]:
        if place in covered and place != _place(refused) and place.location == refuser.here:
            yield f"{case.code} reaches {reach}, and {place} was asked for after it"
    made = [outcome for outcome in progress.nodes if outcome.node.provider == case.cloud]
    open_ = {_place(one) for one in offers} - covered - set(asked)
    if len(made) < case.count and open_:
        never = ", ".join(sorted(map(str, open_)))
        yield f"{case.code} reaches {reach}, and these were never asked for: {never}"


def _covers(refuser: Refuser, reach: Reach, refused: Offer, one: Offer) -> bool:
    """Whether a refusal that reaches so far is one of this offer too, as `Reach` says it."""
    near = one.location == refused.location
    alike = refuser.family(one.size, one.market) == refuser.family(refused.size, refused.market)
    return {
        Reach.OFFER: _place(one) == _place(refused),
        Reach.SIZE: near and one.size == refused.size,
        Reach.FAMILY: near and one.market == refused.market and alike,
        Reach.ZONE: near and one.zone == refused.zone,
        Reach.MARKET: near and one.market == refused.market,
        Reach.IMAGE: near and (one.size == refuser.arm) == (refused.size == refuser.arm),
        Reach.LOCATION: near,
        Reach.ACCOUNT: True,
        Reach.PROVIDER: True,
    }[reach]


def _wrong_verdict(
    case: Refusal, refuser: Refuser, outcome: Outcome, progress: Progress
) -> Iterator[str]:
    whole = case.count * (1 if case.company is Company.ALONE else 2)
    expected = Verdict.PASSED
    if len(progress.nodes) < whole or progress.unanswered:
        expected = Verdict.INFRASTRUCTURE_FAILED
    if case.position is Position.LISTING and refuser.kind(case.code) is CredentialsError:
        expected = Verdict.LEAKED
    if outcome.verdict is not expected:
        yield f"it ended as {outcome.verdict} instead of {expected}: {outcome.message}"


def _untold(case: Refusal, refuser: Refuser, outcome: Outcome) -> Iterator[str]:
    """The cloud's own words, and what to do about it."""
    if case.position is Position.LISTING:
        if outcome.verdict is Verdict.LEAKED and not all("by hand: " in w for w in _left(outcome)):
            yield f"a leak without a word on how to end it by hand: {outcome.message}"
        return
    told = " ".join(refusal.message for refusal in outcome.refusals)
    hint = refuser.codes.hints.get(case.code, "")
    missing = [words for words in (case.code, WORDS, hint) if words not in told]
    if missing:
        yield f"{missing} is told nowhere: {told}"


def _lonely(case: Refusal, outcome: Outcome, progress: Progress) -> Iterator[str]:
    """What one cloud or location refuses is its own."""
    if case.company is Company.ALONE:
        return
    fakes = [one for one in progress.nodes if one.node.provider == "fake"]
    if len(fakes) < case.count:
        yield f"the cloud beside it has {len(fakes)} of {case.count} nodes"
    for words in _left(outcome):
        if "fake" in words:
            yield f"the cloud beside it is told as left: {words}"


def _left(outcome: Outcome) -> Iterable[str]:
    return [what for receipt in outcome.receipts for what in receipt.left]


def _place(offer: Offer) -> Asked:
    return Asked(offer.location, offer.zone, offer.size, offer.market)


def _status(refuser: Refuser, code: str, *, capacity: int) -> int:
    """The HTTP status of a refusal."""
    kinds = {CredentialsError: 403, ThrottledError: 503, CapacityError: capacity, QuotaError: 400}
    return kinds.get(refuser.kind(code), 400)


def _subnets(lab: AwsLab) -> Iterator[tuple[str, str]]:
    for region in REGIONS:
        for item in (
            lab.ask(region, {"Action": "DescribeSubnets"}).xml().iterfind("{*}subnetSet/{*}item")
        ):
            yield get(item, "subnetId"), get(item, "availabilityZone")


def _inner(code: str) -> dict[str, str]:
    return {"code": code, "message": WORDS}


def _resources(body: Any, kind: str) -> list[Any]:
    """Every resource of a kind in a template, once for each copy loop."""
    return [one for one in body["properties"]["template"]["resources"] if one["type"] == kind]
