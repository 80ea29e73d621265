"""What is done with a cloud's refusals."""

from __future__ import annotations

import pytest

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.refusals import ErrorTable, none_if_missing, raise_first, try_each


def refuse(code: str) -> str:
    """An answer that never comes."""
    raise ProviderError("no", code=code)


def test_a_missing_thing_is_none_and_any_other_refusal_is_raised() -> None:
    assert none_if_missing(lambda: "found", {"NotFound"}) == "found"
    assert none_if_missing(lambda: refuse("NotFound"), {"NotFound"}) is None
    with pytest.raises(ProviderError, match="no"):
        none_if_missing(lambda: refuse("Forbidden"), {"NotFound"})


def test_no_refusals_raise_nothing() -> None:
    raise_first([])


def test_patience_is_asked_for_before_any_other_refusal_is_raised() -> None:
    first, second, later = ProviderError("one"), ProviderError("two"), ThrottledError("later")
    with pytest.raises(ProviderError) as caught:
        raise_first([first, second])
    assert caught.value is first
    with pytest.raises(ThrottledError) as patient:
        raise_first([first, later])
    assert patient.value is later


def test_one_that_is_refused_keeps_none_from_being_tried() -> None:
    tried: list[str] = []

    def end(code: str) -> None:
        tried.append(code)
        if code != "fine":
            raise ProviderError(f"no to {code}", code=code)

    try_each(["NotFound", "fine"], end, {"NotFound"})
    with pytest.raises(ProviderError, match="no to Locked"):
        try_each(["NotFound", "Locked", "Busy", "fine"], end, {"NotFound"})
    assert tried == ["NotFound", "fine", "NotFound", "Locked", "Busy", "fine"]


def test_wrong_credentials_end_the_tries_at_once() -> None:
    tried: list[int] = []

    def end(number: int) -> None:
        tried.append(number)
        raise CredentialsError("the token has expired")

    with pytest.raises(CredentialsError):
        try_each([1, 2], end)
    assert tried == [1]


TABLE = ErrorTable(
    capacity={"full"},
    quota={"too_many"},
    throttled={"busy"},
    hints={"too_many": "ask for more"},
    reach={"too_many": Reach.FAMILY},
)


@pytest.mark.parametrize(
    ("code", "status", "kind", "reach"),
    [
        ("full", 0, CapacityError, Reach.OFFER),
        ("too_many", 403, QuotaError, Reach.FAMILY),
        ("busy", 0, ThrottledError, Reach.LOCATION),
        ("new", 401, CredentialsError, Reach.ACCOUNT),
        ("new", 503, ThrottledError, Reach.LOCATION),
        ("new", 409, ProviderError, Reach.OFFER),
        ("", 0, ProviderError, Reach.OFFER),
    ],
)
def test_a_code_of_the_table_counts_before_the_status(
    code: str, status: int, kind: type[ProviderError], reach: Reach
) -> None:
    error = TABLE.error(code, "no", status, "create a server")
    assert (type(error), error.reach, error.code) == (kind, reach, code)
    assert error.message == f"create a server: {code}: no".replace(": : ", ": ")
    assert error.hint == ("ask for more" if code == "too_many" else None)
