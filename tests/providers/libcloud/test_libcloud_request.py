"""What the requests that create nodes have in common."""

from __future__ import annotations

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy_libcloud.request import check_user_data


def test_user_data_may_be_as_large_as_the_service_takes_and_no_larger() -> None:
    check_user_data(b"x" * 10, 10, "Acme")
    with pytest.raises(ConfigError, match="user-data is 11 bytes; Acme takes 10"):
        check_user_data(b"x" * 11, 10, "Acme")
