"""Who was on a node by hand.

sshd writes a line for every login to the journal, and spotdeploy registers the address and port of
each connection of its own on the node. A login that is not registered was made by hand. A
registered one that the journal does not show means that the journal is not whole, and then it
proves nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from spotdeploy.node import paths
from spotdeploy.text import plain

SETTLED: Final = timedelta(seconds=5)
"""A login may be ours and not yet registered; after this time it is not."""
NAMED: Final = 20
_MARGIN: Final = 60
"""Seconds by which a clock may have been set back at first boot."""
_FIRST_BOOT: Final = f"{paths.STATE}/ends-at"
"""Written at the first boot, never again. What an image's own past has in the journal is older."""
_LINES: Final = (
    "Accepted [^ ]+ for |Starting session: |"
    "pam_unix\\(sshd:session\\): session closed|"
    "pam_unix\\((login|remote):session\\): session opened for user "
)

# sshd moves to a scope when it opens a session, and journald may miss the _COMM of a process that
# ends at once, so sshd is found by its identifier (`sshd-session` since OpenSSH 9.8). PAM tells of
# logins on a console under facility 10. The journal is read before the registered connections:
# one that is made in between is then registered without being seen, which is asked about again.
_LOOK: Final = f"""
export LC_ALL=C
set --
if born=$(stat -c %Y {_FIRST_BOOT} 2>/dev/null); then
    set -- "--since=@$((born - {_MARGIN}))"
fi
logged=$(
    journalctl --quiet --no-pager --utc --output=short-iso "$@" \\
        SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=sshd-session + SYSLOG_FACILITY=10 \\
        | grep --text --extended-regexp '{_LINES}' \\
        | awk '/: Starting session: /{{
                   output = $0
                   sub(/^.*: Starting session: /, "", output)
                   sub(/ id [0-9]+$/, "", output)
                   if (output in seen) next
                   seen[output] = 1
               }}
               {{ print "L " $0 }}'
) || exit 1
printf '%s\\n' "$logged"
date --utc '+N %Y-%m-%dT%H:%M:%S+0000'
if [ -e {paths.TOUCHED} ]; then
    echo T
    head -c 2000 {paths.TOUCHED} | sed 's/^/T /'
    echo
fi
[ ! -e {paths.SESSIONS} ] || sed 's/^/S /' {paths.SESSIONS}
"""
_LINE: Final = re.compile(r"(\S+) \S+ ([^\s\[:]+(?:\[\d+\])?): (.*)")
_RECORD: Final = re.compile(r"(\S+) (\S+)(?: ([0-9]{1,6}))?")
"""Of one connection of spotdeploy's own: address, port, and how many broke off before it."""
_FROM: Final = r"for (?P<user>\S+) from (?P<address>\S+) port (?P<port>\d+)"
_ACCEPTED: Final = re.compile(rf"Accepted \S+ {_FROM}(?: .*)?")
_SESSION: Final = re.compile(rf"Starting session: (?P<kind>.*) {_FROM}(?: id \d+)?")
_CLOSED: Final = re.compile(r"pam_unix\(sshd:session\): session closed.*")
_CONSOLE: Final = re.compile(
    r"pam_unix\(\w+:session\): session opened for user (?P<user>[^\s(]+).*"
)

Peer = tuple[str, str]
"""Address and port, as sshd sees them."""


class What(Enum):
    """What a line of the journal tells."""

    LOGIN = "Accepted"
    SESSION = "Starting session"
    CLOSED = "session closed"
    CONSOLE = "login"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal."""

    what: What
    when: str
    user: str = ""
    peer: Peer = ("", "")
    kind: str = ""
    """Of a session, for example "shell on pts/0"."""
    process: str = ""
    """What wrote the line, for example "sshd[86]"."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a node tells of those who were on it."""

    marks: tuple[str, ...]
    """Lines left by `spotdeploy ssh`."""
    own: tuple[Peer, ...]
    """Registered connections of spotdeploy's own, the oldest first."""
    broken: int
    """How many attempts of spotdeploy's own may have logged in and were broken off before they
    could register, by its own count."""
    events: tuple[Event, ...]
    now: str = ""
    """By the node's clock."""

    def of(self, what: What) -> dict[Peer, list[Event]]:
        """The events of one kind, by peer."""
        found: dict[Peer, list[Event]] = {}
        for event in self.events:
            if event.what is what:
                found.setdefault(event.peer, []).append(event)
        return found


def inspect_command() -> Sequence[str]:
    """The command that tells who was on the node."""
    return ["sh", "-c", _LOOK]


def read(output: str) -> Traces:
    """What that command said; a line that tells nothing is passed over."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    records = [match for tag, rest in lines if tag == "S" and (match := _RECORD.fullmatch(rest))]
    events = (_event(rest) for tag, rest in lines if tag == "L")
    return Traces(
        marks=tuple(plain(rest, limit=300) for tag, rest in lines if tag == "T"),
        own=tuple((match[1], match[2]) for match in records),
        broken=sum(int(match[3] or 0) for match in records),
        events=tuple(event for event in events if event),
        now=next((rest for tag, rest in lines if tag == "N"), ""),
    )


def strangers(traces: Traces) -> list[Event]:
    """Every login that was not spotdeploy's own. Of those that had no session and are over, so many
    were its own as it counted attempts that broke off: nobody else's are tolerated, as a port can
    be forwarded without a session."""
    own = Counter(traces.own)
    logins, sessions = traces.of(What.LOGIN), traces.of(What.SESSION)
    ended = {event.process for event in traces.events if event.what is What.CLOSED}
    left = traces.broken
    found = []
    for peer, some in logins.items():
        for login in some[own[peer] :]:
            if left and peer not in sessions and login.process in ended:
                left -= 1
            else:
                found.append(login)
    found += [some[0] for peer, some in sessions.items() if peer not in {*logins, *own}]
    return found + [event for event in traces.events if event.what is What.CONSOLE]


def in_words(traces: Traces, found: Sequence[Event]) -> list[str]:
    """Who was there by hand: those logins, and the marks that `spotdeploy ssh` left."""
    sessions = traces.of(What.SESSION)
    reports = [f"marked by {mark}" for mark in traces.marks if mark]
    if traces.marks and not reports:
        reports.append("marked by a file that says nothing")
    reports += [_message(one, sessions.get(one.peer, [])) for one in found]
    more = [f"and {len(reports) - NAMED} more"] if len(reports) > NAMED else []
    return [*reports[:NAMED], *more]


def may_be_ours(traces: Traces, login: Event) -> bool:
    """Whether a login is so new that it may be registered, or broken off, in a moment."""
    age = _between(login.when, traces.now)
    return age is not None and age < SETTLED


def unseen(traces: Traces) -> list[Peer]:
    """Registered connections that the journal does not show, the oldest first."""
    left = Counter({peer: len(some) for peer, some in traces.of(What.LOGIN).items()})
    lost = []
    for peer in traces.own:
        left[peer] -= 1
        if left[peer] < 0:
            lost.append(peer)
    return lost


def _event(line: str) -> Event | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    when, process, output = plain(match[1], limit=40), match[2], match[3]
    if m := _ACCEPTED.fullmatch(output):
        return Event(What.LOGIN, when, m["user"], (m["address"], m["port"]), process=process)
    if m := _SESSION.fullmatch(output):
        return Event(What.SESSION, when, m["user"], (m["address"], m["port"]), m["kind"])
    if m := _CONSOLE.fullmatch(output):
        return Event(What.CONSOLE, when, m["user"])
    return Event(What.CLOSED, when, process=process) if _CLOSED.fullmatch(output) else None


def _between(first: str, second: str) -> timedelta | None:
    """The time from one to the other; None when it is not known, or is negative."""
    try:
        passed = datetime.fromisoformat(second) - datetime.fromisoformat(first)
    except (ValueError, TypeError):
        return None
    return passed if passed >= timedelta() else None


def _message(login: Event, sessions: Sequence[Event] = ()) -> str:
    user, address = plain(login.user, limit=60), plain(login.peer[0], limit=60)
    if login.what is What.CONSOLE:
        return f"{user} logged in by hand on the console at {login.when}"
    kinds = plain(", ".join(dict.fromkeys(one.kind for one in sessions)), limit=100)
    return (
        f"{user} logged in by hand from {address} at {login.when} ({kinds or 'without a session'})"
    )
