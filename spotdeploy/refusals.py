"""A cloud's refusals: sorted by what the core does next, passed over, or gathered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeVar

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One cloud's error codes, by kind. A code in none of the sets is a plain ProviderError."""

    capacity: Set[str] = frozenset()
    quota: Set[str] = frozenset()
    credentials: Set[str] = frozenset()
    throttled: Set[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=dict)
    """Code to what a person does about it."""
    reach: Mapping[str, Reach] = field(default_factory=dict)
    """Code to how far it reaches as the refusal of a create, where that is not as usual."""

    def error(self, code: str, message: str, status: int, call: str) -> ProviderError:
        """The typed error for an answer: its code, its message and its HTTP status, 0 where there
        is none.

        `call` names what was asked, and where. An unknown code with status 401 or 403 is about
        credentials; one with 429 or 5xx asks for patience.
        """
        kind = self._kind(code, status)
        text = f"{code}: {message}" if code else message
        hint, reach = self.hints.get(code), self.reach.get(code)
        return kind(f"{call}: {text}", code=code, hint=hint, reach=reach)

    def _kind(self, code: str, status: int) -> type[ProviderError]:
        known: tuple[tuple[Set[str], type[ProviderError]], ...] = (
            (self.capacity, CapacityError),
            (self.quota, QuotaError),
            (self.credentials, CredentialsError),
            (self.throttled, ThrottledError),
        )
        for codes, kind in known:
            if code in codes:
                return kind
        if status in (401, 403):
            return CredentialsError
        return ThrottledError if status == 429 or status >= 500 else ProviderError


def none_if_missing(ask: Callable[[], T], missing: Collection[str]) -> T | None:
    """What `ask` returns, or None when the cloud refuses it with one of the codes in `missing`."""
    try:
        return ask()
    except ProviderError as error:
        if error.code in missing:
            return None
        raise


def try_each(
    things: Iterable[T], call: Callable[[T], object], pass_over: Collection[str] = ()
) -> None:
    """Make the call for each thing, whatever became of the call for another. A refusal with one of
    the codes in `pass_over` is success: the thing is missing, or still in use.

    Raises:
        CredentialsError: at once, since no other call would be answered either.
        ProviderError: what says most of the other refusals; every thing was tried.
    """
    refused: list[ProviderError] = []
    for thing in things:
        try:
            call(thing)
        except CredentialsError:
            raise
        except ProviderError as error:
            if error.code not in pass_over:
                refused.append(error)
    raise_first(refused)


def raise_first(refusals: Sequence[ProviderError]) -> None:
    """Raise the error that says most of what to do next: one that asks for patience, since the
    core then repeats the call, or else the first. Nothing when there is none."""
    if refusals:
        raise next((one for one in refusals if isinstance(one, ThrottledError)), refusals[0])
