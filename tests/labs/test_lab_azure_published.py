"""The lab's measure: what Microsoft publishes. A measure that cannot fail measures nothing."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from spotdeploy.testing import ManualClock
from spotdeploy_azure.actions import Action
from tests.labs.azure import AzureLab
from tests.labs.azure.call import ArmError
from tests.labs.azure.checking import ELSEWHERE, EVERYWHERE
from tests.labs.azure.lab import CLIENT, SECRET, SUBSCRIPTION, TENANT
from tests.labs.azure.published import operations, version_of, violations
from tests.labs.azure.routes import route
from tests.labs.azure.template import Scope, evaluate, expand
from tests.labs.tls import certificate

VM = "azure.mgmt.compute:VirtualMachine"
SCOPE = Scope("sub", "group", {"userData": "eA=="})


@pytest.fixture
def lab() -> Iterator[AzureLab]:
    """A lab that may be asked wrongly."""
    with AzureLab(ManualClock()) as lab:
        yield lab


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"location": "x", "sise": 1}, "has no 'sise'"),
        ({"tags": {}}, "'location' is missing"),
        ({"location": "x", "tags": {"a": 1}}, "1 is not <class 'str'>"),
        ({"location": "x", "id": "/x"}, "read-only"),
        ({"location": "x", "zones": "1"}, "not a list"),
        ({"location": "x", "properties": {"priority": "Cheap"}}, "'Cheap' is not one of"),
        ({"location": "x", "properties": {"billingProfile": {"maxPrice": "-1"}}}, "is not"),
        (
            {"location": "x", "properties": {"storageProfile": {"osDisk": {}}}},
            "'createOption' is missing",
        ),
    ],
)
def test_a_wrong_machine_is_found_out(body: Any, words: str) -> None:
    assert any(words in one for one in violations(VM, body, request=True))


def test_a_right_machine_is_let_through() -> None:
    body = {"location": "x", "properties": {"priority": "Spot", "evictionPolicy": "Delete"}}
    assert violations(VM, body, request=True) == []
    assert violations(VM, {**body, "id": "/x", "name": "x"}, request=False) == []


def test_a_wrong_schedule_is_found_out() -> None:
    model = "azure.mgmt.devtestlabs.models:Schedule"
    good = {"location": "x", "properties": {"dailyRecurrence": {"time": "1900"}}}
    assert violations(model, good, request=True) == []
    bad = {"location": "x", "properties": {"dailyRecurrence": {"hour": "1900"}, "when": "x"}}
    assert len(violations(model, bad, request=True)) == 2


@pytest.mark.parametrize("action", list(Action))
def test_every_operation_of_the_provider_is_published_in_its_version(action: Action) -> None:
    operation = action.value
    path = re.sub(r"\{\w+\}", "{}", operation.path).lower()
    published = operations().get((operation.verb, path))
    version = published.version if published else ELSEWHERE[f"{operation.verb} {path}"]
    assert operation.version <= version
    assert operation.version in EVERYWHERE | set(ELSEWHERE.values())
    assert route(operation.verb, path.replace("{}", "x")) is not None


def test_the_types_in_templates_have_published_versions() -> None:
    assert version_of("Microsoft.Compute/virtualMachines") == "2026-04-01"
    assert version_of("Microsoft.DevTestLab/schedules") == "2018-09-15"
    assert version_of("Microsoft.Nothing/things") is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("plain", "plain"),
        ("[[literal]", "[literal]"),
        ("[parameters('userData')]", "eA=="),
        ("[concat('a-', copyIndex(1), '-b')]", "a-3-b"),
        ("[concat('it''s', copyIndex())]", "it's2"),
        (
            "[resourceId('A.B/c/d', 'x', concat('y', copyIndex()))]",
            "/subscriptions/sub/resourceGroups/group/providers/A.B/c/x/d/y2",
        ),
    ],
)
def test_expressions_are_evaluated(expression: str, value: str) -> None:
    assert evaluate(expression, SCOPE, 2) == value


@pytest.mark.parametrize(
    "expression", ["[nothing()]", "[concat('a']", "[parameters('a' 'b')]", "[?]"]
)
def test_expressions_that_azure_would_not_take_are_refused(expression: str) -> None:
    with pytest.raises((ArmError, KeyError, IndexError)):
        evaluate(expression, SCOPE, 0)


def test_parameters_must_be_declared_and_given() -> None:
    with pytest.raises(ArmError, match="userData"):
        list(expand({"resources": []}, SCOPE))


def test_an_unknown_operation_is_a_violation(lab: AzureLab) -> None:
    assert ask(lab, "GET", f"/subscriptions/{SUBSCRIPTION}/nonsense", {})[0] == 404
    assert len(lab.wrong) == 1


def test_a_wrong_version_query_or_body_is_a_violation(lab: AzureLab) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/g"
    ask(lab, "PUT", path, {"api-version": "2016-09-01"}, {"location": "eastus"})
    ask(lab, "PUT", path, {"api-version": "2022-09-01"}, {"location": "eastus", "x": 1})
    ask(lab, "GET", path, {"api-version": "2022-09-01", "nonsense": "1"})
    assert len(lab.wrong) == 3


def test_nobody_gets_in_without_a_token(lab: AzureLab) -> None:
    lab.logins.tokens.clear()
    request = Request(f"{lab.url}/subscriptions/{SUBSCRIPTION}?api-version=2022-12-01")
    with pytest.raises(HTTPError) as caught:
        urlopen(request)
    with caught.value as error:
        assert error.code == 401


def test_long_operations_can_be_polled_as_their_headers_say(lab: AzureLab) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/g"
    version = {"api-version": "2022-09-01"}
    assert ask(lab, "PUT", path, version, {"location": "eastus", "tags": {}})[0] == 201
    status, headers = ask(lab, "DELETE", path, version)
    assert status == 202
    where = headers["Location"].removeprefix(lab.url).partition("?")[0]
    assert ask(lab, "GET", where, version)[0] == 202
    lab.cloud.clock.sleep(60)
    assert ask(lab, "GET", where, version)[0] == 200
    assert lab.wrong == []


def ask(
    lab: AzureLab, verb: str, path: str, query: dict[str, str], body: Any = None
) -> tuple[int, dict[str, str]]:
    """The status and headers of an answer."""
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": "https://management.azure.com/.default",
        }
    )
    trust = ssl.create_default_context(cafile=str(certificate()))
    url = f"{lab.login_url}/{TENANT}/oauth2/v2.0/token"
    with urlopen(url, form.encode(), context=trust) as answer:
        token = json.loads(answer.read())["access_token"]
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{lab.url}{path}?{urlencode(query)}"
    try:
        with urlopen(Request(url, data, headers, method=verb)) as answer:
            return answer.status, dict(answer.headers)
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers)
