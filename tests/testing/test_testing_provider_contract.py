"""The provider contract has teeth: each broken promise is caught, by the test that is about it."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

import pytest

from tests.testing import broken_asking, broken_changing, broken_powers
from tests.testing.teeth import broken_in, failures

MODULES = (broken_asking, broken_changing, broken_powers)
BROKEN = {name: catch for module in MODULES for name, catch in broken_in(module).items()}
CLASSES = """
import pytest
from spotdeploy.testing import FakeCloud, FakeConfig, FakeProvider, ProviderContract
from tests.providers.contract_fake import Contract
from tests.testing import broken_asking, broken_changing, broken_powers
from tests.testing.teeth import broken_in


class InMemory(Contract):
    @pytest.fixture
    def config(self, provider_class, tmp_path):
        return provider_class.Config(state=str(tmp_path / "cloud.json"))

    @pytest.fixture
    def cloud(self, clock):
        return FakeCloud(clock=clock)

    @pytest.fixture
    def make_provider(self, provider_class, config, cloud):
        return lambda: provider_class(config, "here", cloud)


def contract_of(cls):
    class TestContract(InMemory):
        @pytest.fixture
        def provider_class(self):
            return cls

    return TestContract


TestFakeProvider = contract_of(FakeProvider)
for module in (broken_asking, broken_changing, broken_powers):
    for name in broken_in(module):
        globals()[f"Test{name}"] = contract_of(getattr(module, name))
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
    """What the contract found in every broken provider, all of them tested in one process."""
    return failures(tmp_path_factory.mktemp("teeth"), CLASSES, "-k", "not making_an_object")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_caught_by_its_own_test(
    caught: Mapping[str, set[str]], name: str
) -> None:
    assert BROKEN[name].holds(caught[f"Test{name}"]), caught[f"Test{name}"]


def test_the_fake_provider_keeps_every_promise(caught: Mapping[str, set[str]]) -> None:
    assert caught["TestFakeProvider"] == set()


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
    "test_making_an_object_imports_no_cloud_library",
    "test_locations_and_making_an_object_call_nothing",
    "test_making_an_object_reads_no_file_of_the_users",
}
