"""What becomes of a call: AWS's refusals, silence and answers that cannot be read, as our errors.

Nothing is repeated here; the core repeats by its one policy, `spotdeploy.patience`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final
from xml.etree.ElementTree import ParseError, iterparse

from spotdeploy.errors import (
    ConfigError,
    LostReplyError,
    ProviderError,
    SpotdeployError,
    ThrottledError,
)
from spotdeploy_aws.chain_errors import causes
from spotdeploy_aws.errors import CODES, leaves_open, refusal
from spotdeploy_libcloud.transport import told_when

SHOWN: Final = 200
"""Characters of an unreadable answer that are shown."""
REFUSALS: Final = ("Response", "ErrorResponse")
"""How the documents of AWS's refusals begin: EC2's, and those of other services."""


class UnreadableError(Exception):
    """An answer that is not one to the question, or of which a part was lost on its way."""

    def __init__(self, status: int, what: str, *, damaged: bool = False) -> None:
        super().__init__(what)
        self.status = status
        self.damaged = damaged


def require_answer(operation_model: Any, response_dict: Any, **_: object) -> None:
    """Refuse an answer that is not one to this operation; botocore calls it before it reads one.

    It would find no items in it, and "no machines" is the most expensive misunderstanding.
    Raises UnreadableError.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    length = str(response_dict["headers"].get("content-length", ""))
    if length.isdigit() and len(body) < int(length):
        raise UnreadableError(status, f"{len(body)} of {length} bytes", damaged=True)
    if operation_model.service_model.protocol not in ("ec2", "query"):
        return
    root, expected = _root(body), f"{operation_model.name}Response"
    if root is None or (status >= 300 and root not in REFUSALS):
        raise UnreadableError(status, repr(body[:SHOWN].decode(errors="replace")))
    if status < 300 and root != expected:
        raise UnreadableError(status, f"not a {expected} but {root!r}")


class Transport:
    """The way to one endpoint. Remembers whether the endpoint ever answered: an outage in the
    middle of a run is waited out, one at its start is reported at once."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is what errors call it, such as its URL."""
        self._endpoint = endpoint
        self._answered = False

    @contextmanager
    def call(self, what: str, *, repeatable: bool) -> Iterator[None]:
        """Make one call of a botocore client inside this. `what` names it in errors.

        Raises:
            LostReplyError: it was sent, it is not `repeatable` blindly, and no answer came or one
                that leaves open what became of it.
            ThrottledError: the same, but it may simply be repeated; or the endpoint, which
                answered before, cannot be reached now.
            ProviderError: AWS refused it; the endpoint cannot be reached; or what answers there
                is not AWS.
            ConfigError: AWS has no such endpoint.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
            self._answered = True
        except ClientError as error:
            self._answered = True
            raise _refusal(what, error, repeatable=repeatable) from error
        except BotoCoreError as error:
            raise self._unanswered(what, error, repeatable=repeatable) from error
        except UnreadableError as error:
            raise self._unreadable(what, error, repeatable=repeatable) from error
        except (ResponseParserError, ValueError, LookupError) as error:
            unreadable = UnreadableError(200, str(error))
            raise self._unreadable(what, unreadable, repeatable=repeatable) from error

    def _unreadable(self, what: str, error: UnreadableError, *, repeatable: bool) -> ProviderError:
        if error.status >= 500:
            refused = CODES.error(f"HTTP {error.status}", str(error), error.status, what)
            return refused if repeatable else LostReplyError(refused.message, code=refused.code)
        message = f"{what}: {self._endpoint} answered something that cannot be read: {error}"
        if error.status < 300 and not repeatable:
            return LostReplyError(message)
        return ThrottledError(message) if error.damaged else ProviderError(message)

    def _unanswered(self, what: str, error: Exception, *, repeatable: bool) -> SpotdeployError:
        from botocore import exceptions as aws

        *_, cause = causes(error)
        reason = f"{type(cause).__name__}: {cause}"
        if isinstance(error, aws.EndpointProviderError | aws.EndpointVariantError):
            hint = "check AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT and the region"
            return ConfigError(f"{what}: AWS has no such endpoint: {error}", hint=hint)
        sent = isinstance(error, aws.SSLError) and self._answered
        if isinstance(error, aws.ConnectionError) and not sent:
            message = f"{what}: cannot reach {self._endpoint}: {reason}"
            if self._answered:
                return ThrottledError(message)
            hint = "check the network, the region and the endpoint"
            if isinstance(error, aws.ProxyConnectionError):
                hint = "check the proxy that HTTPS_PROXY names, and NO_PROXY"
            if isinstance(error, aws.SSLError):
                hint = "name the certificates to trust in AWS_CA_BUNDLE; check the clock"
            return ProviderError(message, hint=hint)
        if isinstance(error, aws.HTTPClientError | aws.SSLError):
            message = f"{what}: no answer from {self._endpoint}: {reason}"
            return ThrottledError(message) if repeatable else LostReplyError(message)
        return ProviderError(f"{what}: {error}")


def _refusal(what: str, error: Any, *, repeatable: bool) -> ProviderError:
    """Our error for botocore's ClientError. A web page instead of an error has its status as
    code."""
    metadata, told = error.response["ResponseMetadata"], error.response.get("Error", {})
    status, code = int(metadata["HTTPStatusCode"]), str(told.get("Code") or "")
    if code in ("", str(status)):
        code = f"HTTP {status}"
    headers = metadata.get("HTTPHeaders", {})
    message, date = str(told.get("Message") or "no message"), str(headers.get("date", ""))
    refused = refusal(code, message, status, what, date)
    if not repeatable and leaves_open(refused, status):
        return LostReplyError(refused.message, code=code)
    return told_when(refused, headers)


def _root(body: bytes) -> str | None:
    """The name of a document's first element, without its namespace; None when it is not XML."""
    try:
        _, element = next(iterparse(BytesIO(body), ["start"]))  # noqa: S314  # from AWS over TLS, as botocore
    except ParseError:
        return None
    return str(element.tag).rpartition("}")[2]
