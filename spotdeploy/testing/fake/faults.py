"""What can go wrong in the fake cloud, as data: written in Python, in TOML or in the state file.

Each fault counts the calls it matches. It hits from the `at`-th of them on, `times` times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, TypeVar

import msgspec

from spotdeploy.errors import Reach
from spotdeploy.model import Market

Call = Literal[
    "any",
    "account",
    "claim",
    "offers",
    "create",
    "nodes",
    "destroy",
    "leftovers",
    "release",
    "fate",
    "console",
    "admit",
]
Ending = Literal["interrupted", "preempted", "stopped", "vanished"]
"""Interrupted: gone, with the cloud's word. Preempted: the same, but left stopped, its disk billed.
Stopped: by somebody. Vanished: gone without a word."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


def _kebab(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag=_kebab,
):
    """The base of all faults."""

    at: Annotated[int, msgspec.Meta(ge=1)] = 1
    """The first matching call that it hits, counted from 1."""
    times: Count = 1
    """How many matching calls it hits; 0 is every one from `at` on."""


class CallFault(Fault, frozen=True):
    """Hits calls by name, whatever they are about."""

    call: Call = "any"


class PlaceFault(Fault, frozen=True):
    """Hits create calls for a place; what is left out matches every place."""

    location: str | None = None
    zone: str | None = None
    size: str | None = None
    market: Market | None = None


class Throttled(CallFault, frozen=True):
    """The call is refused with ThrottledError and has no effect."""


class ExpiredCredentials(CallFault, frozen=True):
    """The call is refused with CredentialsError and has no effect; from then on, always."""

    times: Count = 0


class Outage(CallFault, frozen=True):
    """The call is refused with ProviderError and has no effect."""


class Bug(CallFault, frozen=True):
    """The call raises RecursionError, as a library does with a deep answer or a plugin with a bug
    in it, and has no effect."""


class SlowCall(CallFault, frozen=True):
    """The call takes `seconds` before it has its effect."""

    seconds: Seconds = 5.0


class LostReply(CallFault, frozen=True):
    """The call has its effect, and its answer never comes: LostReplyError."""

    call: Call = "create"


class Crash(CallFault, frozen=True):
    """The calling process is killed with SIGKILL, after the effect and before the answer."""

    call: Call = "create"
    before: bool = False
    """Kill before the effect instead."""


class InterruptionAt(CallFault, frozen=True):
    """When the call comes, `nodes` living machines of the location end."""

    nodes: Count = 1
    ending: Ending = "interrupted"


class NoCapacity(PlaceFault, frozen=True):
    """The place has no machine to give: CapacityError; every time."""

    times: Count = 0


class Quota(PlaceFault, frozen=True):
    """The location may have `limit` living machines: beyond that QuotaError; every time."""

    times: Count = 0
    limit: Count = 0
    whole: bool = False
    """A batch that does not fit is refused whole, instead of filled as far as the quota goes."""
    late: Seconds = 0.0
    """What is gone counts for so long."""
    reach: Reach = Reach.LOCATION


class Refused(PlaceFault, frozen=True):
    """The cloud refuses for a reason of its own: ProviderError; every time."""

    times: Count = 0
    reach: Reach = Reach.OFFER
    code: str = "PolicyViolation"
    message: str = "a rule of the account forbids this"
    hint: str | None = None


class PartialFill(PlaceFault, frozen=True):
    """The place gives at most `give` machines."""

    give: Annotated[int, msgspec.Meta(ge=1)] = 1


class LateCreate(PlaceFault, frozen=True):
    """No answer comes (LostReplyError), and the machines begin to exist `seconds` later."""

    seconds: Seconds = 5.0


class Unlisted(PlaceFault, frozen=True):
    """What is created is missing from listings for `seconds`, and from the first `listings`."""

    seconds: Seconds = 0.0
    listings: Count = 0


class UnlistedGroup(PlaceFault, frozen=True):
    """The group of what is created is missing from listings for `seconds`."""

    seconds: Seconds = 5.0


class SlowBoot(PlaceFault, frozen=True):
    """What is created stays pending for `seconds`."""

    seconds: Seconds = 5.0


class Unreachable(PlaceFault, frozen=True):
    """What is created runs, says the cloud, and never answers on any port."""


class InterruptionAfter(PlaceFault, frozen=True):
    """Of what is created, `nodes` machines end after `seconds`."""

    seconds: Seconds = 5.0
    nodes: Count = 1
    ending: Ending = "interrupted"


class Blink(Fault, frozen=True):
    """A listing lacks `nodes` of the machines that it should show."""

    nodes: Count = 1


class SlowGoing(Fault, frozen=True):
    """What is destroyed takes `seconds` until it is gone."""

    seconds: Seconds = 5.0


class RefuseDestroy(Fault, frozen=True):
    """Of what is to be destroyed, `nodes` machines are refused and stay."""

    nodes: Count = 1
    id: str | None = None
    """Refuse this machine instead."""


class Stuck(Fault, frozen=True):
    """Of what is destroyed, `nodes` machines never go."""

    nodes: Count = 1


class OrphanDisk(Fault, frozen=True):
    """What is destroyed leaves a disk behind for each machine."""


class StuckResource(Fault, frozen=True):
    """What is to be released stays, as if still in use; every time."""

    times: Count = 0


AnyFault = (
    Throttled
    | ExpiredCredentials
    | Outage
    | Bug
    | SlowCall
    | LostReply
    | Crash
    | InterruptionAt
    | NoCapacity
    | Quota
    | Refused
    | PartialFill
    | LateCreate
    | Unlisted
    | UnlistedGroup
    | SlowBoot
    | Unreachable
    | InterruptionAfter
    | Blink
    | SlowGoing
    | RefuseDestroy
    | Stuck
    | OrphanDisk
    | StuckResource
)

F = TypeVar("F", bound=Fault)
C = TypeVar("C", bound=CallFault)
P = TypeVar("P", bound=PlaceFault)


class Script:
    """The faults of a cloud and how many calls each has matched so far."""

    def __init__(self, faults: Iterable[AnyFault], matched: dict[str, int]) -> None:
        """`matched` is kept by the caller and changed here."""
        twins: Counter[str] = Counter()
        self._faults: list[tuple[str, AnyFault]] = []
        for fault in faults:
            text = msgspec.json.encode(fault).decode()
            twins[text] += 1
            self._faults.append((f"{text}#{twins[text]}", fault))
        self._matched = matched

    def on_call(self, kind: type[C], call: str) -> list[C]:
        """The faults of this kind that hit the present call."""
        return self.hits(kind, lambda fault: fault.call in ("any", call))

    def on_place(
        self, kind: type[P], location: str, zone: str | None, size: str, market: Market
    ) -> list[P]:
        """The faults of this kind that hit a create call for this place."""
        place = {"location": location, "zone": zone, "size": size, "market": market}
        return self.hits(
            kind,
            lambda fault: all(getattr(fault, key) in (None, is_) for key, is_ in place.items()),
        )

    def hits(self, kind: type[F], matches: Callable[[F], bool] = lambda _: True) -> list[F]:
        """The faults of this kind that match and whose turn it is. Counts as a match of each."""
        found: list[F] = []
        for key, fault in self._faults:
            if isinstance(fault, kind) and matches(fault):
                turn = self._matched[key] = self._matched.get(key, 0) + 1
                if turn >= fault.at and (not fault.times or turn < fault.at + fault.times):
                    found.append(fault)
        return found
