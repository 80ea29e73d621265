"""What the requests that create nodes have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from spotdeploy.errors import ConfigError

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Body: TypeAlias = Mapping[str, Json]


def check_user_data(user_data: bytes, limit: int, service: str) -> None:
    """Raises ConfigError, with both sizes, when user-data has more bytes than `service` takes."""
    if len(user_data) > limit:
        raise ConfigError(
            f"user-data is {len(user_data)} bytes; {service} takes {limit}",
            hint="ship files with payload.upload instead",
        )
