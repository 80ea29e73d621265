"""Promises of the class itself, and of making an object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from spotdeploy.config.load import decode
from spotdeploy.errors import ConfigError
from spotdeploy.plugins import Plugins
from spotdeploy.provider import Provider, ProviderConfig
from spotdeploy.testing.construction import Construction, observe_construction
from spotdeploy.testing.provider_contract.lab import LabFixtures


class Identity(LabFixtures):
    """Class attributes, `locations` and `__init__`."""

    @pytest.fixture
    def construction(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> Construction:
        """What importing the class and making an object did, seen in a process of its own."""
        return observe_construction(provider_class, config)

    def test_the_name_is_lower_case_letters_digits_and_hyphens(
        self, provider_class: type[Provider[Any]]
    ) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", provider_class.name)

    def test_the_plugin_hands_over_the_class_under_its_own_name(
        self, provider_class: type[Provider[Any]]
    ) -> None:
        module = provider_class.__module__
        plugins = [one for one in Plugins().known() if f"{module}.".startswith(f"{one.value}.")]
        if not plugins:
            pytest.skip(f"no installed plugin has the module {module}")
        assert provider_class.name in {plugin.name for plugin in plugins}
        found = Plugins().provider(provider_class.name)
        assert (found.__module__, found.__qualname__) == (module, provider_class.__qualname__)

    def test_the_config_is_frozen(self, config: ProviderConfig) -> None:
        assert isinstance(config, ProviderConfig)
        assert type(config).__struct_config__.frozen

    def test_the_config_refuses_unknown_keys(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> None:
        assert type(config) is provider_class.Config
        with pytest.raises(ConfigError, match="surely_no_such_key"):
            decode({"surely_no_such_key": 1}, provider_class.Config, "the contract")

    def test_the_limits_of_the_class_are_numbers_that_make_sense(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> None:
        provider = provider_class(config, provider_class.locations(config)[0])
        assert isinstance(provider.user_data_limit, int)
        assert provider.user_data_limit > 0
        assert provider.settle_seconds >= 0
        assert provider.poll_seconds > 0

    def test_locations_names_at_least_one_place_and_none_twice(
        self, provider_class: type[Provider[Any]], config: ProviderConfig
    ) -> None:
        locations = provider_class.locations(config)
        assert locations
        assert all(isinstance(location, str) and location for location in locations)
        assert len(set(locations)) == len(locations)

    def test_locations_and_making_an_object_call_nothing(self, construction: Construction) -> None:
        assert construction.calls == ()

    def test_making_an_object_reads_no_file_of_the_users(self, construction: Construction) -> None:
        assert construction.home_files == ()

    def test_making_an_object_imports_no_cloud_library(
        self, construction: Construction, cloud_libraries: Sequence[str]
    ) -> None:
        imported = {
            module
            for module in construction.modules
            for library in cloud_libraries
            if module == library or module.startswith(f"{library}.")
        }
        assert imported == set()
