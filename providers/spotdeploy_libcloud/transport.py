"""Turning what goes wrong in transport into our errors, and sending nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError

T = TypeVar("T")
SHOWN: Final = 200
"""Characters of a redirect's target that are shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint listens."""

    host: str
    port: int
    secure: bool
    path: str


def address_of(url: str) -> Address | None:
    """The parts of an endpoint's URL, with the port that its scheme implies; None when it is not
    an http(s) URL."""
    try:
        parts = urlsplit(url)
        named = parts.port
    except ValueError:  # a port or an IPv6 address that is none
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    secure = parts.scheme == "https"
    port = named or (443 if secure else 80)
    return Address(parts.hostname, port, secure, parts.path)


def require_address(url: str) -> Address:
    """The same. Raises ProviderError when it is not an http(s) URL."""
    address = address_of(url)
    if address is None:
        raise ProviderError(f"the endpoint {url!r} is not an http(s) URL")
    return address


def told_when(error: ProviderError, headers: Mapping[str, str]) -> ProviderError:
    """The same error; when it asks to slow down, with the seconds that the answer's headers name.

    `Retry-After` is a number of seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    if isinstance(error, ThrottledError):
        error.retry_after = _seconds(str(headers.get("retry-after", "")))
    return error


def guard_session(client: Any) -> None:
    """Let what sends by a requests `session` send the Authorization that it is given, to the host
    that it is meant for: requests puts what a ~/.netrc has for the host, or for any, in its place
    unless the session has an auth, and sends bodies and headers again wherever it is redirected to.
    https://requests.readthedocs.io/en/latest/user/quickstart/#redirection-and-history
    """
    client.session.auth = _unchanged
    client.session.hooks["response"].append(_refuse_redirect)


def _refuse_redirect(response: Any, **_: object) -> None:
    """requests calls it before it looks where a redirect leads. Raises ProviderError for one."""
    if not response.is_redirect:
        return
    here, there = urlsplit(response.url).hostname, response.headers["location"]
    raise ProviderError(
        f"{here} redirects to {there[:SHOWN]!r}, which is not followed: it may be anybody's host",
        hint="check the endpoint, and what stands between this computer and the internet",
    )


def _unchanged(request: T) -> T:
    return request


class Transport:
    """The way to one endpoint. Remembers whether the endpoint ever answered: an outage in the
    middle of a run is waited out, one at its start is reported at once."""

    def __init__(self, endpoint: str, unknown_outcome: Collection[str] = ()) -> None:
        """`endpoint` is what errors call it, such as its URL. `unknown_outcome` has the codes of
        refusals after which a create call may have taken effect all the same."""
        self._endpoint = endpoint
        self._unknown_outcome = unknown_outcome
        self._answered = False

    @contextmanager
    def call(self, what: str, *, repeatable: bool) -> Iterator[None]:
        """Run one request inside this. `what` names it in errors.

        Raises:
            LostReplyError: it was sent, it is not `repeatable` blindly, and no answer came or one
                that leaves open what became of it.
            ThrottledError: the same, but it may simply be repeated; or the endpoint, which
                answered before, cannot be reached now.
            ProviderError: the endpoint cannot be reached, or what answers speaks another language.
        """
        from libcloud.common.types import MalformedResponseError
        from requests.exceptions import RequestException

        try:
            yield
            self._answered = True
        except ProviderError as error:
            self._answered = True
            if not repeatable and self._leaves_open(error):
                raise LostReplyError(error.message, code=error.code) from error
            raise
        except MalformedResponseError as error:
            raise ProviderError(
                f"{what}: {self._endpoint} answered something that cannot be read: "
                f"{str(error.body)[:200]!r}"
            ) from error
        except RequestException as error:
            raise self._typed(what, error, repeatable) from error

    def _leaves_open(self, error: ProviderError) -> bool:
        return isinstance(error, ThrottledError) and error.code in self._unknown_outcome

    def _typed(self, what: str, error: Exception, repeatable: bool) -> ProviderError:
        if _never_sent(error):
            message = f"{what}: cannot reach {self._endpoint}: {_innermost(error)}"
            if self._answered:
                return ThrottledError(message)
            return ProviderError(message, hint="check the network, the region and the endpoint")
        message = f"{what}: no answer from {self._endpoint}: {_innermost(error)}"
        return ThrottledError(message) if repeatable else LostReplyError(message)


def _seconds(text: str) -> float | None:
    """Seconds from now; None when it says nothing of use."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _never_sent(error: BaseException) -> bool:
    """True when no connection came about, so that the cloud cannot have seen the request."""
    from requests.exceptions import ConnectTimeout, ProxyError, SSLError
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

    if isinstance(error, ConnectTimeout | ProxyError | SSLError):
        return True
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _innermost(error: BaseException) -> str:
    """The last cause: the one that says what happened, without its wrappers."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
