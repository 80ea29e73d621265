"""What is done with a cloud's refusals."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy_libcloud.errors import none_if_missing, raise_first


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
