"""Credentials and project as Google's tools find them, through google-auth."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spotdeploy.errors import ConfigError, CredentialsError, ProviderError, ThrottledError
from spotdeploy_gcp.config import OWN_TOKENS
from spotdeploy_gcp.errors import LOGIN
from spotdeploy_libcloud.tokens import no_token
from spotdeploy_libcloud.transport import guard_session, told_when
from spotdeploy_libcloud.trust import is_trusted

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPES: Final = ("https://www.googleapis.com/auth/compute",)
INSTALL: Final = "pip install 'spotdeploy[gcp]'"
SERVICE: Final = "Google's token service"
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

    def __init__(
        self,
        key_file: str | None,
        project: str | None,
        impersonate: str | None = None,
        scopes: Sequence[str] = SCOPES,
    ) -> None:
        """Reads nothing yet. None is the usual choice of Google's tools. `impersonate` is the
        service account to act as, `scopes` what tokens are good for."""
        self._key_file = key_file
        self._project = project
        self._impersonate = impersonate
        self._scopes = scopes

    def token(self) -> str:
        """A valid access token. Blocks for seconds when a new one is needed; may be repeated.

        Raises CredentialsError when there are no credentials, or Google no longer takes them;
        ThrottledError when Google's token service cannot say now.
        """
        credentials = self._found[0]
        if not credentials.valid:
            with self._typed():
                credentials.refresh(self._transport)  # type: ignore[no-untyped-call]  # google-auth
                if not _is_token(credentials.token):
                    credentials.token = None
                    raise ValueError("not a token")
        return str(credentials.token)

    def quota_project(self) -> str:
        """The project whose quota of requests is used, where the credentials or
        GOOGLE_CLOUD_QUOTA_PROJECT name one; else "". Raises what `token` raises.
        https://cloud.google.com/docs/quotas/set-quota-project"""
        return str(getattr(self._found[0], "quota_project_id", None) or "")

    def project(self) -> str:
        """The project to work in. Raises ConfigError when nothing names one, ThrottledError when
        the metadata server cannot say it now."""
        named = (os.environ.get(variable) for variable in PROJECT_VARIABLES)
        project = self._project or next(filter(None, named), None) or self._found[1]
        if project:
            return project
        if _is_of_metadata_server(self._found[0]):
            del self._found  # it is looked up again
            raise ThrottledError("Google's metadata server does not say the project now")
        raise ConfigError(
            "no Google Cloud project is named",
            hint='set project = "..." under [provider.gcp], or GOOGLE_CLOUD_PROJECT',
        )

    @property
    def known_project(self) -> str:
        """The same as far as it is known without asking anybody; else ""."""
        found = self.__dict__.get("_found", (None, None))[1]
        named = (os.environ.get(variable) for variable in PROJECT_VARIABLES)
        return self._project or next(filter(None, named), None) or found or ""

    @cached_property
    def _found(self) -> tuple[Credentials, str | None]:
        credentials, project = self._own()
        if self._impersonate:
            from google.auth.impersonated_credentials import Credentials as Impersonated

            acting: Any = Impersonated
            quota = getattr(credentials, "quota_project_id", None)
            credentials = acting(
                credentials, self._impersonate, list(self._scopes), quota_project_id=quota
            )
        return credentials, project

    def _own(self) -> tuple[Credentials, str | None]:
        require_extra()
        if self._key_file:
            return self._from_key(Path(self._key_file).expanduser())
        import google.auth

        with self._typed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gcloud's own credentials serve us well
            ask: Any = self._transport
            credentials, project = google.auth.default(scopes=self._scopes, request=ask)
        return credentials, project

    def _from_key(self, path: Path) -> tuple[Credentials, str | None]:
        from google.oauth2.service_account import Credentials

        try:
            read: Any = Credentials.from_service_account_file
            credentials = read(str(path), scopes=self._scopes)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CredentialsError(
                f"provider.gcp.credentials: {path} is not a service account's key: {error}",
                hint="for other kinds of credentials, set GOOGLE_APPLICATION_CREDENTIALS instead",
            ) from error
        where = str(credentials._token_uri)  # noqa: SLF001  # google-auth has no public name for it
        if not is_trusted(where, OWN_TOKENS):
            raise CredentialsError(
                f"provider.gcp.credentials: {path} asks for tokens at {where!r}, which is none of "
                "Google's",
                hint="if you trust that host, name the file in GOOGLE_APPLICATION_CREDENTIALS",
            )
        return credentials.with_quota_project_from_environment(), credentials.project_id

    @cached_property
    def _transport(self) -> _Transport:
        return _Transport()

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """google-auth lets out whatever it trips over in an answer or a file, not its own errors
        alone."""
        self._transport.answer = None
        try:
            yield
        except ProviderError:
            raise
        except Exception as error:
            raise _typed(error, self._transport.answer) from error


class _Transport:
    """google-auth's way to ask. It keeps the last answer, which tells an outage from a refusal."""

    def __init__(self) -> None:
        from google.auth.transport.requests import Request

        self._request: Any = Request()
        guard_session(self._request)
        self.answer: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.answer = None
        self.answer = self._request(*args, **kwargs)
        return self.answer


def _typed(error: Exception, answer: Any) -> ProviderError:
    """What `error` is, by the last answer that came, if one did."""
    from google.auth.exceptions import (
        DefaultCredentialsError,
        GoogleAuthError,
        ReauthFailError,
        TransportError,
    )

    status = answer.status if answer is not None else 0
    headers = {key.lower(): value for key, value in answer.headers.items()} if status else {}
    nothing_found = isinstance(error, DefaultCredentialsError)
    if (_is_outage(status) or getattr(error, "retryable", False)) and (
        not nothing_found or headers.get("metadata-flavor") == "Google"
    ):
        now = ThrottledError(f"{SERVICE} cannot answer now, HTTP {status}: {_one_line(error)}")
        return told_when(now, headers)
    if nothing_found:
        return CredentialsError(
            f"no Google Cloud credentials found: {_one_line(error)}",
            hint=f"run '{LOGIN}', or set provider.gcp.credentials to a key file",
        )
    if not status and TransportError in (type(error), type(error.__cause__)):
        return ThrottledError(f"cannot reach {SERVICE}: {_one_line(error)}")
    if 200 <= status < 300 and not isinstance(error, ReauthFailError):
        return no_token(SERVICE, answer.data)
    if _is_of_impersonation(error):
        return CredentialsError(
            f"Google refuses to let these credentials act for another: {_one_line(error)}",
            hint="give them roles/iam.serviceAccountTokenCreator on the service account, and check "
            "provider.gcp.impersonate",
        )
    refused = isinstance(error, GoogleAuthError)
    what = "Google refuses the credentials" if refused else "the credentials cannot be read"
    return CredentialsError(
        f"{what}: {_one_line(error)}",
        hint=f"run '{LOGIN}', or get a new key for the service account",
    )


def _is_outage(status: int) -> bool:
    return status in (408, 429) or status >= 500


def _is_of_impersonation(error: Exception) -> bool:
    """Whether the service that lends identities refused; what follows its words is the answer."""
    from google.auth.exceptions import RefreshError

    said = str(error.args[0]) if error.args else ""
    return isinstance(error, RefreshError) and "acquire impersonated credentials" in said


def _is_token(token: object) -> bool:
    """Whether it fits into a header."""
    return isinstance(token, str) and re.fullmatch("[!-~]+", token) is not None


def _is_of_metadata_server(credentials: Credentials) -> bool:
    from google.auth.compute_engine import Credentials as Machine

    return isinstance(credentials, Machine)


def _one_line(error: BaseException) -> str:
    """What an error says first: google-auth wraps its errors, and adds answers to their words."""
    from google.auth.exceptions import GoogleAuthError

    message = error.args[0] if error.args else error
    if isinstance(message, GoogleAuthError) and message is not error:
        return _one_line(message)
    return " ".join(str(message).split())
