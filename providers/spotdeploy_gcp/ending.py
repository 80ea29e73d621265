"""Ending instances, so that one that cannot be ended never keeps the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spotdeploy.errors import ThrottledError
from spotdeploy_gcp.actions import Action
from spotdeploy_gcp.driver import GceDriver
from spotdeploy_gcp.errors import MISSING
from spotdeploy_gcp.nodes import split_id

MOST: Final = 1000
"""Calls in one request: https://cloud.google.com/compute/docs/api/how-tos/batch"""


def delete(driver: GceDriver, ids: Sequence[str]) -> None:
    """Begin to delete these instances with their disks: one request for each thousand.

    An id that no instance can have names nothing, and a missing instance is success. Does not
    wait: an instance that stays is seen in the next listing.

    Raises:
        ThrottledError: Google asks for patience; repeating deletes the rest.
        ProviderError: what Google said of the first it refused for another reason. All the others
            were asked to go.
    """
    places = [place for id_ in dict.fromkeys(ids) if (place := split_id(id_))]
    names = [{"zone": zone, "instance": name} for zone, name in places]
    refusals = [
        error
        for start in range(0, len(names), MOST)
        for error in driver.together(Action.DELETE_INSTANCE, names[start : start + MOST])
        if error is not None and error.code not in MISSING
    ]
    if refusals:
        raise next((one for one in refusals if isinstance(one, ThrottledError)), refusals[0])
