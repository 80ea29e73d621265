"""The checker of requests and answers can say no, and the provider's methods exist."""

from __future__ import annotations

from typing import Any

import pytest

from spotdeploy_gcp.actions import Action
from tests.labs.gcp.discovery import answer_violations, document, match, request_violations

ZONE = "projects/lab-project/zones/us-central1-a"
SCHEDULING: dict[str, Any] = {"provisioningModel": "SPOT", "maxRunDuration": {"seconds": "60"}}


def of_insert(changes: dict[str, Any]) -> list[str]:
    """What is wrong with a bulk insert."""
    called = match("POST", f"{ZONE}/instances/bulkInsert")
    assert called
    body = {"count": "1", "instanceProperties": {"scheduling": SCHEDULING}, **changes}
    return request_violations(called, {"requestId": "x"}, body)


def test_a_documented_request_passes() -> None:
    assert of_insert({}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"surely": 1}, "surely is unknown"),
        ({"count": 1}, "count is int and not string"),
        ({"count": "one"}, "no int64"),
        ({"instanceProperties": []}, "is list and not object"),
        ({"instanceProperties": {"disks": [{"boot": "yes"}]}}, r"disks\[0\].boot is str"),
        ({"instanceProperties": {"disks": [{"mode": "READ"}]}}, "none of"),
        ({"instanceProperties": {"labels": {"a": 1}}}, "labels.a is int"),
        ({"instanceProperties": {"scheduling": {"automaticRestart": 0}}}, "not boolean"),
        ({"instanceProperties": {"canIpForward": 1}}, "canIpForward is int"),
        ({"perInstanceProperties": {"a": {"nom": "x"}}}, "a.nom is unknown"),
        ({"instanceProperties": {"tags": {"items": "x"}}}, "items is str and not array"),
    ],
)
def test_an_undocumented_request_is_named(changes: dict[str, Any], words: str) -> None:
    (wrong,) = of_insert(changes)
    import re

    assert re.search(words, wrong)


def test_parameters_are_checked() -> None:
    called = match("GET", "projects/lab-project/aggregated/instances")
    assert called
    for query, words in (
        ({"filtre": "x"}, "no parameter 'filtre'"),
        ({"maxResults": "many"}, "no number from 0"),
        ({"includeAllScopes": "yes"}, "no boolean"),
    ):
        assert words in request_violations(called, query, None)[0]
    assert "takes none" in request_violations(called, {}, {})[0]


def test_paths_are_checked() -> None:
    called = match("DELETE", f"{ZONE}/instances/UPPER")
    assert called
    assert "instance is 'UPPER'" in request_violations(called, {}, None)[0]
    assert match("GET", f"{ZONE}/surelyNot") is None
    assert match("PUT", f"{ZONE}/instances/x/serialPort") is None


def test_what_only_google_gives_is_not_given() -> None:
    called = match("POST", "projects/lab-project/global/firewalls")
    assert called
    read_only = next(
        name
        for name, spec in document()["schemas"]["Firewall"]["properties"].items()
        if spec.get("readOnly")
    )
    assert "only Google gives it" in request_violations(called, {}, {read_only: "1"})[0]


def test_an_undocumented_answer_is_named() -> None:
    called = match("GET", f"{ZONE}/instances/x")
    assert called
    assert answer_violations(called, {"kind": "compute#instance", "status": "RUNNING"}) == []
    assert "status is 'RUN'" in answer_violations(called, {"status": "RUN"})[0]
    assert "state is unknown" in answer_violations(called, {"state": "RUNNING"})[0]


@pytest.mark.parametrize("action", list(Action))
def test_every_method_of_the_provider_is_googles(action: Action) -> None:
    names = {"zone": "us-central1-a", "region": "us-central1"}

    class Filled(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return "x1"

    path = f"projects/lab-project/{action.value.path.format_map(Filled(names))}".rstrip("/")
    called = match(action.value.verb, path)
    assert called
    assert called.id == action.id
