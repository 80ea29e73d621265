"""The AWS provider: EC2 spot and on-demand instances."""

from __future__ import annotations

from typing import Any

from spotdeploy.hookspecs import hookimpl
from spotdeploy.provider import Provider


@hookimpl
def spotdeploy_register_provider() -> type[Provider[Any]]:
    """Hand over the provider's class."""
    from spotdeploy_aws.provider import AwsProvider

    return AwsProvider
