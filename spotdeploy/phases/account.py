"""In whose account nodes were made: a listing in another one would prove nothing."""

from __future__ import annotations

from spotdeploy.errors import RefusedError
from spotdeploy.run.context import Session
from spotdeploy.run.location import Location


async def record_accounts(session: Session) -> None:
    """Note, before anything is made, the account of each provider that can tell it."""
    for name in session.providers:
        if account := await session.of_provider(name)[0].account():
            session.journal.record_account(session.deployment, name, account)


async def require_same_account(session: Session, location: Location) -> None:
    """Raises RefusedError when the credentials are of another account than the known nodes."""
    name = location.provider.name
    made_in = session.journal.account(session.deployment, name)
    now = await location.account() if made_in else ""
    if now and now != made_in:
        raise RefusedError(
            f"nodes of {session.deployment} are known in account {made_in} of {name}, "
            f"and the credentials are of {now}",
            hint=f"use the credentials with which they were made, of {made_in}",
        )
