"""What the journal gives when it is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intent:
    """A create call that was about to be made."""

    token: str
    run: str
    provider: str
    location: str
    offer: str
    count: int
    at: float


@dataclass(frozen=True, slots=True)
class JournalNode:
    """What the journal knows of a node. Times are Unix seconds."""

    provider: str
    location: str
    id: str
    run: str
    token: str
    name: str
    made_at: float
    seen_at: float
    gone_at: float | None
    gone_by: str | None
    host_key: str | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One line of history."""

    id: str
    deployment: str
    command: str
    digest: str
    started_at: float
    ended_at: float | None
    verdict: str | None
    exit_code: int | None
