"""The query language, and the order in which errors are taken."""

from __future__ import annotations

import pytest

from spotdeploy.errors import CapacityError, CredentialsError, ProviderError, ThrottledError
from spotdeploy_aws.api import filters, flatten, tag_filters
from spotdeploy_aws.errors import CODES


def test_nested_data_become_numbered_names() -> None:
    assert flatten({"Filter": filters({"a": ["b", "c"]}), "MaxResults": 5}) == {
        "Filter.1.Name": "a",
        "Filter.1.Value.1": "b",
        "Filter.1.Value.2": "c",
        "MaxResults": "5",
    }


def test_booleans_are_written_as_ec2_reads_them() -> None:
    assert flatten({"A": True, "B": {"C": False}}) == {"A": "true", "B.C": "false"}


def test_empty_lists_leave_nothing() -> None:
    assert flatten({"A": [], "B": {}}) == {}


def test_a_filter_by_no_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one label"):
        tag_filters({})


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
