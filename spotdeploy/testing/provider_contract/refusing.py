"""Promises of what happens when the cloud says no, or says less."""

from __future__ import annotations

import pytest

from spotdeploy.errors import CapacityError, CredentialsError, QuotaError, ThrottledError
from spotdeploy.testing.provider_contract.lab import Lab, LabFixtures, ids, need


class Refusing(LabFixtures):
    """Refusals are errors of ours, with the cloud's words; a partial fill is a result."""

    def test_a_partial_fill_is_a_result_and_says_why(self, lab: Lab) -> None:
        need(lab.powers.limit_to, "Powers.limit_to")(2)
        created = lab.request(lab.batch(3))
        assert len(created.nodes) == 2
        assert created.shortfall
        lab.until_listed(created.nodes)
        assert lab.listed().keys() == ids(created.nodes)

    def test_no_capacity_raises_capacity_error_and_creates_nothing(self, lab: Lab) -> None:
        need(lab.powers.no_capacity, "Powers.no_capacity")()
        with pytest.raises(CapacityError) as error:
            lab.request(lab.batch(2))
        assert error.value.message
        assert lab.listed() == {}

    def test_a_used_up_quota_raises_quota_error_and_creates_nothing(self, lab: Lab) -> None:
        need(lab.powers.used_up_quota, "Powers.used_up_quota")()
        with pytest.raises(QuotaError) as error:
            lab.request(lab.batch(2))
        assert error.value.message
        assert lab.listed() == {}

    def test_a_refused_create_leaves_nothing_behind(self, lab: Lab) -> None:
        need(lab.powers.inventory, "Powers.inventory")
        refuse = need(lab.powers.no_capacity, "Powers.no_capacity")
        before = lab.inventory()
        refuse()
        with pytest.raises(CapacityError):
            lab.request(lab.batch(2))
        lab.clean()
        lab.until_as_before(before)

    def test_expired_credentials_raise_credentials_error(self, lab: Lab) -> None:
        (node,) = lab.create()
        need(lab.powers.expire_credentials, "Powers.expire_credentials")()
        for ask in (
            lambda: lab.provider.nodes(lab.scope),
            lambda: lab.request(lab.batch()),
            lambda: lab.provider.destroy([node]),
        ):
            with pytest.raises(CredentialsError) as error:
                ask()
            assert error.value.message

    def test_a_cloud_that_asks_to_slow_down_raises_throttled_error(self, lab: Lab) -> None:
        (node,) = lab.create()
        need(lab.powers.throttle, "Powers.throttle")()
        for ask in (
            lambda: lab.provider.nodes(lab.scope),
            lambda: lab.request(lab.batch()),
            lambda: lab.provider.destroy([node]),
        ):
            with pytest.raises(ThrottledError):
                ask()
        lab.heal()
        assert lab.living() == {node.id}
