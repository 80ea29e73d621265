"""What goes wrong while botocore looks for credentials, as our errors.

Its chain runs whatever the user configured: helpers, token files, services. So any exception can
come out of it, of botocore's own kinds, of Python's, or of what a helper's garbage leads to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spotdeploy.errors import CredentialsError, ProviderError, ThrottledError
from spotdeploy_aws.errors import CODES

_PASSING: Final = re.compile(r"non 200 response (5\d\d|429)\b")
"""As botocore says it of a container's endpoint."""
_NAMED: Final = {
    "role_arn": "role",
    "mfa_serial": "MFA device",
    "web_identity_token_file": "token file",
    "credential_process": "helper",
    "sso_session": "single sign-on",
    "sso_start_url": "single sign-on",
}
"""Keys of a profile, and what they say where credentials come from."""
_OF_THE_ENVIRONMENT: Final = {
    "AWS_ROLE_ARN": "role",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "token file",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "credential endpoint",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "credential endpoint",
}


def chain_error(error: Exception, about: str, profile: str | None) -> ProviderError:
    """Our error for what came out of the chain. `about` says whose credentials were looked for.

    ThrottledError for a service that does not answer now, since the call may be repeated;
    CredentialsError for all else.
    """
    message = f"AWS credentials{about}: {_words(error)}"
    if any(map(_passes, causes(error))):
        return ThrottledError(message)
    option = f" --profile {profile}" if profile else ""
    name = type(error).__name__
    if "SSO" in name or "Token" in name:
        return CredentialsError(message, hint=f"run 'aws sso login{option}'")
    return CredentialsError(
        message,
        hint=f"run 'aws sts get-caller-identity{option}', and check ~/.aws/config and AWS_PROFILE",
    )


def sources(
    profiles: Mapping[str, Mapping[str, Any]], profile: str, environment: Mapping[str, str]
) -> str:
    """Where a profile's credentials come from: its role, token file, helper and so on, and those
    of its source profiles. Of a helper's command only the program, since its arguments may be
    secret."""
    found = [
        f"{noun} {environment[key]}"
        for key, noun in _OF_THE_ENVIRONMENT.items()
        if key in environment
    ]
    for one in _with_its_sources(profiles, profile):
        for key, noun in _NAMED.items():
            value = str(profiles[one].get(key, ""))
            if value:
                found.append(f"{noun} {value.split()[0] if key == 'credential_process' else value}")
    return ", ".join(dict.fromkeys(found))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, the first cause last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _with_its_sources(profiles: Mapping[str, Mapping[str, Any]], profile: str) -> list[str]:
    chain: list[str] = []
    while profile in profiles and profile not in chain:
        chain.append(profile)
        profile = str(profiles[profile].get("source_profile", ""))
    return chain


def _words(error: Exception) -> str:
    from getpass import GetPassWarning

    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, EOFError | GetPassWarning):
        return "an MFA code is asked for, and there is no terminal to type it in"
    if isinstance(error, BotoCoreError | ClientError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _passes(error: BaseException) -> bool:
    """True when the same question may be answered soon."""
    from botocore.exceptions import (
        ClientError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        ProxyConnectionError,
    )

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code")
        return status >= 500 or status == 429 or code in CODES.throttled
    network = HTTPClientError | ConnectTimeoutError | EndpointConnectionError | ProxyConnectionError
    return isinstance(error, network) or bool(_PASSING.search(str(error)))
