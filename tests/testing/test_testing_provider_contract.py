"""The provider contract has teeth: each broken promise is caught, by the test that is about it."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

import pytest

from tests.testing import (
    broken_asking,
    broken_between,
    broken_changing,
    broken_costly,
    broken_failing,
    broken_powers,
    right_shapes,
)
from tests.testing.teeth import broken_in, failures

MODULES = (
    broken_asking,
    broken_between,
    broken_changing,
    broken_costly,
    broken_failing,
    broken_powers,
)
BROKEN = {name: catch for module in MODULES for name, catch in broken_in(module).items()}
CLASSES = """
import pytest
from spotdeploy.testing import FakeCloud, FakeConfig, FakeProvider, ProviderContract
from tests.providers.contract_fake import Contract
from tests.testing.right_shapes import FACTS, RIGHT
from tests.testing.test_testing_provider_contract import MODULES
from tests.testing.teeth import broken_in


class InMemory(Contract):
    @pytest.fixture
    def config(self, provider_class, tmp_path):
        state = str(tmp_path / "cloud.json")
        return provider_class.Config(state=state, locations=("here", "there"))

    @pytest.fixture
    def cloud(self, clock, config):
        return FakeCloud(clock=clock, script=getattr(config, "faults", ()))

    @pytest.fixture
    def make_provider(self, provider_class, config, cloud):
        return lambda: provider_class(config, "here", cloud)

    @pytest.fixture
    def make_elsewhere(self, provider_class, config, cloud):
        return lambda: provider_class(config, "there", cloud)

    @pytest.fixture
    def facts(self):
        return FACTS


def contract_of_right(cls):
    class TestContract(InMemory):
        @pytest.fixture
        def provider_class(self):
            return cls

        @pytest.fixture
        def config(self):
            return cls.lab_config

        @pytest.fixture
        def facts(self):
            return cls.facts

    return TestContract


def contract_of_wrong(cls, tests):
    promises = {name for name in dir(ProviderContract) if name.startswith("test_")}
    assert tests <= promises, tests - promises

    class TestContract(InMemory):
        @pytest.fixture
        def provider_class(self):
            return cls

    for name in promises - tests:
        setattr(TestContract, name, None)
    return TestContract


for right in RIGHT:
    globals()[f"TestRight{right.__name__}"] = contract_of_right(right)
for module in MODULES:
    for name, catch in broken_in(module).items():
        globals()[f"Test{name}"] = contract_of_wrong(getattr(module, name), catch.tests)
"""
EAGER = """
import pytest
from spotdeploy.testing import FakeConfig, ProviderContract
import eager_import, eager_call, eager_file


def contract_of(module):
    class TestContract(ProviderContract):
        @pytest.fixture
        def provider_class(self):
            return module.Eager

        @pytest.fixture
        def config(self):
            return FakeConfig()

    return TestContract


TestImport, TestCall, TestFile = map(contract_of, (eager_import, eager_call, eager_file))


class TestNothing(ProviderContract):
    pass
"""
EAGER_IMPORT = """
import requests
from spotdeploy.testing import FakeProvider


class Eager(FakeProvider):
    pass
"""
EAGER_CALL = """
import socket
from spotdeploy.testing import FakeProvider


class Eager(FakeProvider):
    def __init__(self, config, location):
        socket.socket(socket.AF_UNIX).connect_ex("/nowhere")
        super().__init__(config, location)
"""
EAGER_FILE = """
import os
from spotdeploy.testing import FakeProvider


class Eager(FakeProvider):
    def __init__(self, config, location):
        try:
            open(os.path.expanduser("~/.acme"))
        except FileNotFoundError:
            super().__init__(config, location)
"""


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The tests that failed: of every broken provider its own tests were run, and of every right
    one the whole contract. All in one process."""
    return failures(tmp_path_factory.mktemp("teeth"), CLASSES, "-k", "not making_an_object")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_caught_by_its_own_test(
    caught: Mapping[str, set[str]], name: str
) -> None:
    assert caught[f"Test{name}"] == BROKEN[name].tests


@pytest.mark.parametrize("shape", right_shapes.RIGHT)
def test_a_right_provider_of_any_shape_keeps_every_promise(
    caught: Mapping[str, set[str]], shape: type
) -> None:
    assert caught[f"TestRight{shape.__name__}"] == set()


def test_every_promise_has_been_broken(caught: Mapping[str, set[str]]) -> None:
    from spotdeploy.testing import ProviderContract

    promises = {name for name in dir(ProviderContract) if name.startswith("test_")}
    broken = {test for catch in BROKEN.values() for test in catch.tests}
    assert promises - broken - ELSEWHERE == set()


def test_an_eager_constructor_is_caught(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("eager")
    for name, code in (
        ("eager_import", EAGER_IMPORT),
        ("eager_call", EAGER_CALL),
        ("eager_file", EAGER_FILE),
    ):
        (folder / f"{name}.py").write_text(dedent(code))
    found = failures(folder, EAGER, "-k", "making_an_object and not TestNothing")
    assert found == {
        "TestImport": {"test_making_an_object_imports_no_cloud_library"},
        "TestCall": {"test_locations_and_making_an_object_call_nothing"},
        "TestFile": {"test_making_an_object_reads_no_file_of_the_users"},
    }


ELSEWHERE = {
    "test_the_plugin_hands_over_the_class_under_its_own_name",  # tests/testing/test_contract_run.py
    "test_making_an_object_imports_no_cloud_library",
    "test_locations_and_making_an_object_call_nothing",
    "test_making_an_object_reads_no_file_of_the_users",
}
