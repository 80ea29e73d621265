"""Credentials, region and endpoints as every AWS tool finds them, through botocore's chain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spotdeploy.errors import ConfigError, CredentialsError


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with."""

    access: str
    secret: str
    token: str | None

    def __repr__(self) -> str:
        return f"Keys({self.access})"


class Chain:
    """The environment, profiles, SSO cache, assumed roles and instance role of one profile.

    Reads files and, for some kinds of credentials, asks AWS for temporary ones; these are
    renewed when they are about to expire.
    """

    def __init__(self, profile: str | None) -> None:
        """Reads nothing yet. `profile` None is the usual choice of the AWS tools."""
        self._profile = profile

    @property
    def profile(self) -> str | None:
        """The profile that was asked for."""
        return self._profile

    def keys(self) -> Keys:
        """The present credentials. Raises CredentialsError when there are none."""
        with self._typed():
            if self._credentials is not None:
                frozen = self._credentials.get_frozen_credentials()
                return Keys(frozen.access_key, frozen.secret_key, frozen.token)
        raise CredentialsError(
            f"no AWS credentials found{self._of_profile}",
            hint="run 'aws configure' or 'aws sso login', or set AWS_PROFILE",
        )

    def region(self) -> str:
        """The region of the environment or profile. Raises ConfigError when there is none."""
        with self._typed():
            region = os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
        if region:
            return str(region)
        raise ConfigError(
            f"no AWS region is set{self._of_profile}",
            hint='set regions = ["us-east-1"] under [provider.aws], or AWS_REGION',
        )

    def endpoint(self, service: str, region: str) -> str:
        """The URL of a service's API, with the user's own endpoints taken into account:
        https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
        """
        return self._configured_endpoint(service) or self._own_endpoint(service, region)

    @property
    def _of_profile(self) -> str:
        return f" for profile {self._profile!r}" if self._profile else ""

    @cached_property
    def _session(self) -> Any:
        from botocore.session import Session

        return Session(profile=self._profile)

    @cached_property
    def _credentials(self) -> Any:
        return self._session.get_credentials()

    def _configured_endpoint(self, service: str) -> str | None:
        with self._typed():
            if self._session.get_config_variable("ignore_configured_endpoint_urls"):
                return None
            profile = self._session.get_scoped_config()
            services = self._session.full_config.get("services", {})
        own = services.get(profile.get("services"), {}).get(service, {})
        return (
            os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
            or os.environ.get("AWS_ENDPOINT_URL")
            or own.get("endpoint_url")
            or profile.get("endpoint_url")
        )

    def _own_endpoint(self, service: str, region: str) -> str:
        from botocore.regions import EndpointResolver

        resolver = EndpointResolver(self._session.get_data("endpoints"))
        found = resolver.construct_endpoint(service, region)
        if found is None:
            raise ConfigError(f"AWS has no region {region!r}", hint="check provider.aws.regions")
        return f"https://{found['hostname']}"

    @contextmanager
    def _typed(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError

        try:
            yield
        except BotoCoreError as error:
            login = f"aws sso login --profile {self._profile}" if self._profile else "aws sso login"
            sso = "SSO" in type(error).__name__ or "Token" in type(error).__name__
            raise CredentialsError(
                f"AWS credentials{self._of_profile}: {error}",
                hint=f"run '{login}'" if sso else "check ~/.aws/config and AWS_PROFILE",
            ) from error
