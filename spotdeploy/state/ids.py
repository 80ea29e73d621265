"""Ids of runs and tokens of create calls."""

from __future__ import annotations

import calendar
import secrets
import time


def new_run_id(now: float | None = None) -> str:
    """A sortable, unique id such as `20261124-031502-7f3a9c` (UTC). Valid as a label's value.

    The last part is the second's fraction, in 4096ths, and three random digits: ids of runs that
    follow each other within a second sort by time too.
    """
    at = time.time() if now is None else now
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(at))
    return f"{stamp}-{int(at % 1 * 4096):03x}{secrets.randbelow(4096):03x}"


def began_at(run: str) -> float | None:
    """When the run of this id began (Unix seconds), or None for what is no id of ours."""
    try:
        return float(calendar.timegm(time.strptime(run[:15], "%Y%m%d-%H%M%S")))
    except ValueError:
        return None


def batch_token(run: str, provider: str, number: int | str) -> str:
    """The idempotency token of one create call: at most 64 characters of [a-z0-9-]."""
    return f"{run}-{provider[:24]}-{number}"
