"""Which image is booted."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy_aws.offers import Images
from spotdeploy_aws.schemas import Image
from spotdeploy_libcloud.cache import Cache
from tests.labs.aws import AwsLab
from tests.labs.aws.amis import NEWEST_LTS, OWN_IMAGE, STRANGER
from tests.providers.aws.conftest import MakeProvider


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_interim_release_or_a_strangers_image_is_not_the_newest_lts(make: MakeProvider) -> None:
    assert make()._cloud.images.for_size("t3.small") == Image(NEWEST_LTS["x86_64"], "/dev/sda1")


def test_an_arm_size_boots_an_arm_image(make: MakeProvider) -> None:
    assert make()._cloud.images.for_size("t4g.small").id == NEWEST_LTS["arm64"]


def test_a_pattern_picks_the_newest_of_its_owner(make: MakeProvider) -> None:
    images = make(image="golden-*")._cloud.images
    assert images.for_size("t3.small") == Image(OWN_IMAGE, "/dev/xvda")
    found = make(image="ubuntu/images/*", image_owner=STRANGER)._cloud.images
    assert found.for_size("t3.small").id == "ami-000000000000badbad"


def test_an_id_is_taken_as_it_is(make: MakeProvider) -> None:
    images = make(image="ami-0000000000002204a")._cloud.images
    assert images.for_size("t3.small").id == "ami-0000000000002204a"


def test_an_image_for_another_architecture_is_refused(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match="no arm64 image 'ami-0000000000002204a'"):
        make(image="ami-0000000000002204a")._cloud.images.for_size("t4g.small")


def test_an_unknown_size_is_named(make: MakeProvider) -> None:
    with pytest.raises(ConfigError, match=r"no instance type 'z9\.huge' in us-west-2"):
        make()._cloud.images.for_size("z9.huge")


def test_an_image_is_looked_up_once_a_day(make: MakeProvider, lab: AwsLab, tmp_path: Path) -> None:
    provider, clock = make(), Clock()
    cloud = provider._cloud

    def look_up() -> int:
        lab.forget_calls()
        cache = Cache(tmp_path, 86400, clock)
        Images(cloud.driver, provider._config, cloud.endpoint, cache).for_size("t3.small")
        return len(lab.calls)

    assert look_up() == 2
    clock.now = 86399
    assert look_up() == 0
    clock.now = 86400
    assert look_up() == 2


def test_regions_and_endpoints_do_not_share_what_is_remembered(
    make: MakeProvider, lab: AwsLab, tmp_path: Path
) -> None:
    provider = make()
    cloud, cache = provider._cloud, Cache(tmp_path, 86400)
    Images(cloud.driver, provider._config, "https://one", cache).for_size("t3.small")
    lab.forget_calls()
    Images(cloud.driver, provider._config, "https://two", cache).for_size("t3.small")
    assert "DescribeImages" in lab.actions()
