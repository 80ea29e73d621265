"""The check contract has teeth, and our own checks keep it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from spotdeploy.testing import CheckContract
from tests.testing import broken_checks
from tests.testing.teeth import broken_in, failures

BROKEN = broken_in(broken_checks)
CLASSES = """
import pytest
from spotdeploy.check import CommandResult
from spotdeploy.testing import CheckContract, ScriptedConnection
from tests.testing import broken_checks
from tests.testing.teeth import broken_in


def contract_of(cls):
    class TestContract(CheckContract):
        @pytest.fixture
        def check_class(self):
            return cls

        @pytest.fixture
        def table(self):
            return {"type": "disk", "at_least": 1000}

        @pytest.fixture
        def healthy(self):
            return ScriptedConnection({"df": CommandResult(0, "2000", "")}, {9100: b"up"})

        @pytest.fixture
        def unhealthy(self):
            return ScriptedConnection({"df": CommandResult(0, "5", "")}, {9100: b"up"})

    return TestContract


TestDiskCheck = contract_of(broken_checks.DiskCheck)
for name in broken_in(broken_checks):
    globals()[f"Test{name}"] = contract_of(getattr(broken_checks, name))
"""


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """What the contract found in every broken check, all of them tested in one process."""
    return failures(tmp_path_factory.mktemp("teeth"), CLASSES)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_of_a_check_is_caught_by_its_own_test(
    caught: Mapping[str, set[str]], name: str
) -> None:
    assert BROKEN[name].holds(caught[f"Test{name}"]), caught[f"Test{name}"]


def test_a_good_check_keeps_every_promise(caught: Mapping[str, set[str]]) -> None:
    assert caught["TestDiskCheck"] == set()


def test_every_promise_of_a_check_has_been_broken(caught: Mapping[str, set[str]]) -> None:
    promises = {name for name in dir(CheckContract) if name.startswith("test_")}
    broken = {test.partition("[")[0] for catch in BROKEN.values() for test in catch.tests}
    assert promises == broken
