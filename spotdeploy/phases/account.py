"""In whose account nodes were made: a listing in another one would prove nothing."""

from __future__ import annotations

from collections.abc import Iterable

from spotdeploy.errors import ProviderError, RefusedError
from spotdeploy.run.context import Run
from spotdeploy.run.location import Location
from spotdeploy.run.trace import contained


async def record_accounts(run: Run, providers: Iterable[str]) -> dict[str, ProviderError]:
    """Note, before anything is made, the account of each of these providers that has one. Gives
    those where it cannot be told, and why: there a destroy could not know it again."""
    untold: dict[str, ProviderError] = {}
    for name in providers:
        asked = run.of_provider(name)[0].account()
        try:
            account = await contained(run, asked, f"asking {name} whose account it is")
        except ProviderError as error:
            untold[name] = error
        else:
            if account:
                run.journal.record_account(run.deployment, name, account)
    return untold


async def require_same_account(run: Run, location: Location) -> None:
    """Raises RefusedError when the credentials are of another account than the known nodes, and
    ProviderError while that cannot be told."""
    name = location.provider.name
    made_in = run.journal.account(run.deployment, name)
    now = await location.account() if made_in else ""
    if now and now != made_in:
        raise RefusedError(
            f"nodes of {run.deployment} are known in account {made_in} of {name}, "
            f"and the credentials are of {now}",
            hint=f"use the credentials with which they were made, of {made_in}",
        )
