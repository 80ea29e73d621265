"""Ending instances, so that one that cannot be ended never keeps the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy_aws.actions import Action
from spotdeploy_aws.driver import Ec2Driver
from spotdeploy_aws.errors import MISSING

MOST: Final = 1000
"""Instances in one call, as
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html advises."""


def terminate(driver: Ec2Driver, ids: Sequence[str]) -> None:
    """Begin to end these instances: one call, more only when AWS refuses some of them.

    TerminateInstances ends none of a call's instances when it does not know one of them. So those
    that AWS names in its refusal are left out and the others are asked for again; where it names
    none, each is asked for by itself.

    Raises:
        ProviderError: what AWS said of an instance that exists and cannot be ended. All the
            others were asked to end.
    """
    wanted = list(dict.fromkeys(ids))
    groups = [wanted[start : start + MOST] for start in range(0, len(wanted), MOST)]
    _raise_first([error for group in groups for error in _refusals(driver, group)])


def _refusals(driver: Ec2Driver, ids: list[str]) -> list[ProviderError]:
    if not ids:
        return []
    try:
        driver.call(Action.TERMINATE_INSTANCES, {"InstanceId": ids})
    except (CredentialsError, ThrottledError):
        raise
    except ProviderError as error:
        blamed = _named(error, ids) if len(ids) > 1 else ids
        if not blamed:
            return [again for id_ in ids for again in _refusals(driver, [id_])]
        own = [] if error.code in MISSING else [error]
        return own + _refusals(driver, [id_ for id_ in ids if id_ not in blamed])
    return []


def _named(error: ProviderError, ids: Sequence[str]) -> set[str]:
    return set(re.findall(r"[\w-]+", error.message)) & set(ids)


def _raise_first(errors: Sequence[ProviderError]) -> None:
    if errors:
        raise errors[0]
