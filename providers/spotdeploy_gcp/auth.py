"""Credentials and project as Google's tools find them, through google-auth."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spotdeploy.errors import ConfigError, CredentialsError, ThrottledError
from spotdeploy_gcp.errors import LOGIN

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPES: Final = ("https://www.googleapis.com/auth/compute",)
INSTALL: Final = "pip install 'spotdeploy[gcp]'"
PROJECT_VARIABLES: Final = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")


def require_extra() -> None:
    """Raises ConfigError, with the command that installs it, when google-auth is missing."""
    try:
        found = find_spec("google.auth")
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ConfigError(
            "the provider gcp needs google-auth, which is not installed", hint=INSTALL
        )


class Chain:
    """A service account's key, or else application-default credentials: the file named by
    GOOGLE_APPLICATION_CREDENTIALS, gcloud's own, or the metadata server's.

    Reads files and asks Google for tokens, which are renewed when they are about to expire.
    """

    def __init__(self, key_file: str | None, project: str | None) -> None:
        """Reads nothing yet. None is the usual choice of Google's tools."""
        self._key_file = key_file
        self._project = project

    def token(self) -> str:
        """A valid access token. Blocks for seconds when a new one is needed; may be repeated.

        Raises CredentialsError when there are no credentials, or Google no longer takes them.
        """
        credentials = self._found[0]
        if not credentials.valid:
            with self._typed():
                credentials.refresh(self._transport)  # type: ignore[no-untyped-call]  # google-auth
        return str(credentials.token)

    def project(self) -> str:
        """The project to work in. Raises ConfigError when nothing names one."""
        named = (os.environ.get(variable) for variable in PROJECT_VARIABLES)
        project = self._project or next(filter(None, named), None) or self._found[1]
        if project:
            return project
        raise ConfigError(
            "no Google Cloud project is named",
            hint='set project = "..." under [provider.gcp], or GOOGLE_CLOUD_PROJECT',
        )

    @cached_property
    def _found(self) -> tuple[Credentials, str | None]:
        require_extra()
        if self._key_file:
            return self._from_key(Path(self._key_file).expanduser())
        import google.auth

        with self._typed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gcloud's own credentials serve us well
            credentials, project = google.auth.default(scopes=SCOPES, request=self._transport)
        return credentials, project

    def _from_key(self, path: Path) -> tuple[Credentials, str | None]:
        from google.oauth2.service_account import Credentials

        try:
            credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                str(path), scopes=SCOPES
            )
        except (OSError, ValueError) as error:
            raise CredentialsError(
                f"provider.gcp.credentials: {path} is not a service account's key: {error}",
                hint="for other kinds of credentials, set GOOGLE_APPLICATION_CREDENTIALS instead",
            ) from error
        return credentials, credentials.project_id

    @cached_property
    def _transport(self):  # type: ignore[no-untyped-def]  # google-auth's requests part is untyped
        from google.auth.transport.requests import Request

        return Request()

    @contextmanager
    def _typed(self) -> Iterator[None]:
        from google.auth.exceptions import (
            DefaultCredentialsError,
            GoogleAuthError,
            TransportError,
        )

        try:
            yield
        except DefaultCredentialsError as error:
            raise CredentialsError(
                f"no Google Cloud credentials found: {_one_line(error)}",
                hint=f"run '{LOGIN}', or set provider.gcp.credentials to a key file",
            ) from error
        except TransportError as error:
            raise ThrottledError(
                f"cannot reach Google's token service: {_one_line(error)}"
            ) from error
        except GoogleAuthError as error:
            raise CredentialsError(
                f"Google refuses the credentials: {_one_line(error)}",
                hint=f"run '{LOGIN}', or get a new key for the service account",
            ) from error


def _one_line(error: Exception) -> str:
    message = error.args[0] if error.args else error
    return " ".join(str(message).split())
