"""The order in which errors are taken."""

from __future__ import annotations

import pytest

from spotdeploy.errors import CapacityError, CredentialsError, ProviderError, ThrottledError
from spotdeploy_aws.errors import CODES


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InsufficientInstanceCapacity", 500, CapacityError),
        ("SomethingNew", 400, ProviderError),
        ("SomethingNew", 403, CredentialsError),
        ("SomethingNew", 503, ThrottledError),
        ("SomethingNew", 429, ThrottledError),
        ("UnauthorizedOperation", 500, CredentialsError),
    ],
)
def test_a_code_outranks_the_status_and_an_unknown_code_yields_to_it(
    code: str, status: int, kind: type[ProviderError]
) -> None:
    error = CODES.error(code, "message", status, "a call")
    assert type(error) is kind
    assert (error.message, error.code) == (f"a call: {code}: message", code)


def test_no_code_is_of_two_kinds() -> None:
    kinds = [CODES.capacity, CODES.quota, CODES.credentials, CODES.throttled]
    assert sum(len(kind) for kind in kinds) == len(frozenset().union(*kinds))


def test_every_hint_belongs_to_a_known_code() -> None:
    known = CODES.capacity | CODES.quota | CODES.credentials | CODES.throttled
    assert set(CODES.hints) <= known
