"""How far a refused launch reaches, also where its code says less than its message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from spotdeploy.errors import (
    CapacityError,
    CredentialsError,
    ProviderError,
    QuotaError,
    Reach,
    ThrottledError,
)
from spotdeploy.model import Market
from spotdeploy_aws.errors import refusal
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import NEWEST_LTS, OWN_IMAGE
from tests.providers.aws.conftest import MakeProvider, batch, offer


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "reach"),
    [
        ("AuthFailure", "Not authorized for images: [ami-1]", 401, ProviderError, Reach.IMAGE),
        ("AuthFailure", "AWS was not able to validate", 401, CredentialsError, Reach.LOCATION),
        ("OptInRequired", "accept terms and subscribe", 401, ProviderError, Reach.IMAGE),
        ("OptInRequired", "the service is not enabled", 401, CredentialsError, Reach.LOCATION),
        ("InvalidParameterCombination", "not eligible for Free Tier", 400, ProviderError, "size"),
        (
            "InvalidParameterValue",
            "The architecture 'arm64' of the type does not match the architecture 'x86_64'",
            400,
            ProviderError,
            Reach.SIZE,
        ),
        (
            "InvalidParameterValue",
            "Value (us-x-1z) for parameter availabilityZone is invalid",
            400,
            ProviderError,
            Reach.ZONE,
        ),
        ("InvalidParameterValue", "something else", 400, ProviderError, Reach.OFFER),
        ("InsufficientAddressCapacity", "no addresses", 500, CapacityError, Reach.LOCATION),
        ("InsufficientVolumeCapacity", "no room", 500, CapacityError, Reach.ZONE),
        ("InsufficientCapacityOnHost", "no room", 400, CapacityError, Reach.OFFER),
        ("VolumeTypeNotAvailableInZone", "no gp3", 400, CapacityError, Reach.ZONE),
        ("Unsupported", "not supported in your zone", 400, CapacityError, Reach.OFFER),
        ("MaxIOPSLimitExceeded", "too many", 400, QuotaError, Reach.LOCATION),
        ("InstanceLimitExceeded", "too many", 400, QuotaError, Reach.SIZE),
        ("InvalidInstanceType", "no such", 400, ProviderError, Reach.SIZE),
        ("InvalidAMIID.Unavailable", "pending", 400, ProviderError, Reach.IMAGE),
        ("InvalidSubnetID.NotFound", "gone", 400, ProviderError, Reach.ZONE),
        ("DefaultVpcDoesNotExist", "none", 400, ProviderError, Reach.LOCATION),
        ("TooManyRequestsException", "slow", 400, ThrottledError, Reach.LOCATION),
        ("SomethingNew", "what?", 400, ProviderError, Reach.OFFER),
    ],
)
def test_a_refusal_has_the_kind_and_the_reach_that_awss_words_say(
    code: str, message: str, status: int, kind: type[ProviderError], reach: Reach
) -> None:
    error = refusal(code, message, status, "RunInstances in us-x-1")
    assert (type(error), error.reach, error.code) == (kind, reach, code)
    assert message in error.message


@pytest.mark.parametrize("code", ["AuthFailure", "SignatureDoesNotMatch", "RequestExpired"])
@pytest.mark.parametrize(("wrong", "words"), [(900, "behind"), (-900, "ahead of"), (5, None)])
def test_a_clock_that_is_wrong_is_named_where_it_may_be_the_cause(
    code: str, wrong: float, words: str | None
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=wrong), usegmt=True)
    hint = str(refusal(code, "no", 403, "a call", date).hint)
    assert "clock" in hint
    assert ("this computer's clock is" in hint) == (words is not None)
    assert words is None or f"{words} AWS's" in hint


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_an_answer_without_a_date_says_nothing_of_the_clock(date: str) -> None:
    assert "this computer's clock is" not in str(refusal("AuthFailure", "no", 403, "x", date).hint)


def test_a_size_that_the_free_plan_lacks_reaches_that_size(make: MakeProvider, lab: AwsLab) -> None:
    lab.cloud.rules.free_plan = True
    with pytest.raises(ProviderError, match="Free Tier") as caught:
        make(sizes=["c5.large"]).create(offer(size="c5.large"), batch())
    assert caught.value.reach is Reach.SIZE
    assert "free-tier-eligible" in str(caught.value.hint)


def test_an_image_that_is_not_shared_reaches_that_image(make: MakeProvider, lab: AwsLab) -> None:
    provider = make(image=OWN_IMAGE)
    provider._cloud.images.for_size("t3.small")
    lab.cloud.rules.private_images.add(OWN_IMAGE)
    with pytest.raises(ProviderError, match="Not authorized for images") as caught:
        provider.create(offer(), batch())
    assert (type(caught.value), caught.value.reach) == (ProviderError, Reach.IMAGE)


def test_an_image_of_another_architecture_reaches_the_size(make: MakeProvider) -> None:
    provider = make()
    images = provider._cloud.images
    images._sizes["t4g.small"] = images._size("t3.small")  # as when AWS changes its mind
    assert images.for_size("t4g.small").id == NEWEST_LTS["x86_64"]
    with pytest.raises(ProviderError, match="does not match") as caught:
        provider.create(offer(size="t4g.small", market=Market.ON_DEMAND), batch())
    assert caught.value.reach is Reach.SIZE
