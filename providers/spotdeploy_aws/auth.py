"""Credentials, region and endpoints as every AWS tool finds them, through botocore's chain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Final

from spotdeploy.errors import ConfigError, CredentialsError

_ASKING: Final = Lock()
"""Held while credentials are asked for, so that no two regions ask for an MFA code at once."""


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
        """The present credentials. One thread at a time asks for them.

        Raises:
            CredentialsError: there are none, or they cannot be had; it names role, token file or
                helper.
            ThrottledError: the service that gives them does not answer now.
        """
        with _ASKING, self._typed():
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

    def ca_bundle(self) -> str | None:
        """The file of certificates that AWS_CA_BUNDLE or the profile's `ca_bundle` names:
        https://docs.aws.amazon.com/sdkref/latest/guide/feature-gen-config.html. Raises ConfigError
        when it is not there."""
        with self._typed():
            bundle = self._session.get_config_variable("ca_bundle")
        if bundle is None:
            return None
        path = Path(bundle).expanduser()
        if path.is_file():
            return str(path)
        raise ConfigError(
            f"there is no file of certificates {bundle}",
            hint="check AWS_CA_BUNDLE, and ca_bundle in ~/.aws/config",
        )

    @property
    def _of_profile(self) -> str:
        return f" for profile {self._profile!r}" if self._profile else ""

    @cached_property
    def _session(self) -> Any:
        from botocore.session import Session

        return Session(profile=self._profile)

    @cached_property
    def _credentials(self) -> Any:
        roles = self._session.get_component("credential_provider").get_provider("assume-role")
        roles.cache = _cli_cache()
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
        from botocore.exceptions import EndpointVariantError
        from botocore.regions import EndpointResolver

        with self._typed():
            fips = bool(self._session.get_config_variable("use_fips_endpoint"))
            dual = bool(self._session.get_config_variable("use_dualstack_endpoint"))
        resolver, found = EndpointResolver(self._session.get_data("endpoints")), None
        with suppress(EndpointVariantError):
            found = resolver.construct_endpoint(
                service, region, use_dualstack_endpoint=dual, use_fips_endpoint=fips
            )
        if found is None and (dual or fips):
            kind = " and ".join(["dual-stack"] * dual + ["FIPS"] * fips)
            raise ConfigError(
                f"AWS has no {kind} endpoint of {service} in {region}",
                hint="check AWS_USE_DUALSTACK_ENDPOINT, AWS_USE_FIPS_ENDPOINT and the region",
            )
        if found is None:
            raise ConfigError(f"AWS has no region {region!r}", hint="check provider.aws.regions")
        return f"https://{found['hostname']}"

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # what is configured may raise anything
            from spotdeploy_aws.chain_errors import chain_error

            about = f"{self._of_profile}{self._sources}"
            raise chain_error(error, about, self._profile) from error

    @property
    def _sources(self) -> str:
        """In brackets, where the credentials come from; empty when the files do not say."""
        from botocore.exceptions import BotoCoreError

        from spotdeploy_aws.chain_errors import sources

        try:
            profiles = self._session.full_config.get("profiles", {})
            found = sources(profiles, self._session.profile or "default", os.environ)
        except BotoCoreError:
            return ""
        return f" ({found})" if found else ""


def _cli_cache() -> Any:
    """The AWS CLI's own memory of assumed roles: an MFA code is asked for once, for all regions,
    runs and the CLI. A folder that cannot be written costs another question, nothing else."""
    from botocore.utils import JSONFileCache

    class Cache(JSONFileCache):  # type: ignore[misc]  # botocore has no types
        def __setitem__(self, key: str, value: Any) -> None:
            with suppress(OSError):
                super().__setitem__(key, value)

    return Cache(str(Path("~/.aws/cli/cache").expanduser()))
