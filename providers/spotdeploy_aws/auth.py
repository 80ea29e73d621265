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
from weakref import WeakValueDictionary

from spotdeploy.errors import ConfigError, CredentialsError, SpotdeployError
from spotdeploy_libcloud.transport import address_of

TIMEOUT: Final = 60.0
PRICING: Final = "pricing"
PRICING_CONNECT: Final = 5.0
"""Seconds: a price is worth no wait where the endpoint has no route, as in closed networks."""
"""Seconds to connect within, and to wait for each part of an answer."""
HINT: Final = "check provider.aws.endpoint, AWS_ENDPOINT_URL and ~/.aws/config"
_ASKING: Final = Lock()
"""Held while credentials are asked for, so that no two regions ask for an MFA code at once, and
while clients are made, which botocore does in one thread at a time."""
_CHAINS: Final[WeakValueDictionary[tuple[object, ...], Chain]] = WeakValueDictionary()


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

    def client(self, service: str, region: str, endpoint: str | None = None) -> Any:
        """botocore's client of a service, whose own endpoint rules hold unless `endpoint` is a
        URL: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.

        Each request is signed with what `keys` gives then. The first client of a service reads
        its model, which takes tenths of a second; one for another region takes 10 ms.

        Raises:
            ConfigError: there is no such region, endpoint or file of certificates.
        """
        bundle = self.ca_bundle()
        with _ASKING, self._typed():
            client = self._client(service, region, endpoint, bundle)
        client.meta.events.register("before-sign", self._put_keys)
        return client

    def known_regions(self) -> list[str]:
        """The regions that botocore knows, of all partitions; there may be newer ones."""
        partitions = self._session.get_available_partitions()
        return [
            region
            for partition in partitions
            for region in self._session.get_available_regions("ec2", partition)
        ]

    def known_sizes(self) -> list[str]:
        """The instance types that botocore knows; there may be newer ones."""
        return list(self._session.get_service_model("ec2").shape_for("InstanceType").enum)

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
        from botocore.config import Config
        from botocore.session import Session

        session = Session(profile=self._profile)
        session.set_default_client_config(
            Config(
                connect_timeout=TIMEOUT,
                read_timeout=TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 1},
            )
        )
        return session

    @cached_property
    def _credentials(self) -> Any:
        roles = self._session.get_component("credential_provider").get_provider("assume-role")
        roles.cache = _cli_cache()
        return self._session.get_credentials()

    def _client(self, service: str, region: str, endpoint: str | None, bundle: str | None) -> Any:
        from botocore.config import Config
        from botocore.exceptions import EndpointVariantError, UnknownRegionError

        quick = Config(connect_timeout=PRICING_CONNECT) if service == PRICING else None
        try:
            client = self._session.create_client(
                service, region, endpoint_url=endpoint, verify=bundle, config=quick
            )
            url = client.meta.endpoint_url
            if f".{region}." in url:
                self._session.get_partition_for_region(region)
        except UnknownRegionError as error:
            hint = "check provider.aws.regions"
            raise ConfigError(f"AWS has no region {region!r}", hint=hint) from error
        except (EndpointVariantError, ValueError) as error:
            raise ConfigError(f"there is no endpoint of {service}: {error}", hint=HINT) from error
        if address_of(url) is None:
            raise ConfigError(f"the endpoint {url!r} is not an http(s) URL", hint=HINT)
        return client

    def _put_keys(self, request: Any, **_: object) -> None:
        """Sign this request with the present keys; botocore calls it just before it signs."""
        from botocore.credentials import Credentials

        keys = self.keys()
        present = Credentials(keys.access, keys.secret, keys.token)
        request.context.setdefault("signing", {})["request_credentials"] = present

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except SpotdeployError:
            raise
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


def shared_chain(profile: str | None) -> Chain:
    """The chain that all regions share while one of them lives: credentials are asked for once,
    and the models of services are read once. Another environment is another chain."""
    settings = ((k, v) for k, v in os.environ.items() if k.startswith("AWS_") or k == "HOME")
    key = (profile, *sorted(settings))
    with _ASKING:
        return _CHAINS.setdefault(key, Chain(profile))


def _cli_cache() -> Any:
    """The AWS CLI's own memory of assumed roles: an MFA code is asked for once, for all regions,
    runs and the CLI. A folder that cannot be written costs another question, nothing else."""
    from botocore.utils import JSONFileCache

    class Cache(JSONFileCache):  # type: ignore[misc]  # botocore has no types
        def __setitem__(self, key: str, value: Any) -> None:
            with suppress(OSError):
                super().__setitem__(key, value)

    return Cache(str(Path("~/.aws/cli/cache").expanduser()))
