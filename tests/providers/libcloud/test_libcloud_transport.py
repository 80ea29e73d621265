"""What goes wrong in transport becomes one of our errors."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from spotdeploy.errors import LostReplyError, ProviderError, ThrottledError
from spotdeploy_libcloud.transport import (
    Address,
    Transport,
    address_of,
    require_address,
    told_when,
)
from tests.providers.libcloud.conftest import listening


def ask(transport: Transport, url: str, *, repeatable: bool, timeout: float = 5.0) -> None:
    with transport.call("RunThings", repeatable=repeatable):
        requests.post(url, data="x", timeout=timeout)


@pytest.mark.parametrize(("repeatable", "kind"), [(True, ThrottledError), (False, LostReplyError)])
def test_an_answer_that_never_came_is_lost_unless_it_can_be_asked_again(
    *, repeatable: bool, kind: type[ProviderError]
) -> None:
    lost = pytest.raises(kind, match="RunThings: no answer from the cloud")
    with listening(lambda connection: connection.recv(9999)) as url, lost:
        ask(Transport("the cloud"), url, repeatable=repeatable)


def test_an_answer_that_takes_too_long_is_lost() -> None:
    done = threading.Event()
    with listening(lambda _: done.wait(5)) as url:
        with pytest.raises(LostReplyError, match="no answer"):
            ask(Transport("the cloud"), url, repeatable=False, timeout=0.2)
        done.set()


def test_what_was_never_sent_is_not_lost() -> None:
    with pytest.raises(ProviderError, match="cannot reach the cloud") as caught:
        ask(Transport("the cloud"), "http://127.0.0.1:9", repeatable=False)
    assert type(caught.value) is ProviderError


def test_a_cloud_that_answered_before_is_waited_for() -> None:
    transport = Transport("the cloud")
    with transport.call("ListThings", repeatable=True):
        pass
    with pytest.raises(ThrottledError, match="cannot reach the cloud"):
        ask(transport, "http://127.0.0.1:9", repeatable=True)


def test_a_bug_of_ours_passes_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), Transport("the cloud").call("x", repeatable=True):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("repeatable", "code", "kind"),
    [
        (False, "Unavailable", LostReplyError),
        (True, "Unavailable", ThrottledError),
        (False, "Throttling", ThrottledError),
    ],
)
def test_a_refusal_that_leaves_the_outcome_open_is_a_lost_reply(
    *, repeatable: bool, code: str, kind: type[ProviderError]
) -> None:
    transport = Transport("the cloud", {"Unavailable"})
    with (
        pytest.raises(ProviderError, match="try later") as caught,
        transport.call("RunThings", repeatable=repeatable),
    ):
        raise ThrottledError("try later", code=code)
    assert type(caught.value) is kind
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://cloud.example/api", Address("cloud.example", 443, True, "/api")),
        ("http://cloud.example", Address("cloud.example", 80, False, "")),
        ("http://127.0.0.1:5000/", Address("127.0.0.1", 5000, False, "/")),
        ("ftp://cloud.example", None),
        ("cloud.example:80", None),
        ("https://", None),
    ],
)
def test_an_endpoint_is_an_http_url(url: str, address: Address | None) -> None:
    assert address_of(url) == address


def test_an_endpoint_that_is_no_url_is_named() -> None:
    with pytest.raises(ProviderError, match="'localhost:5000' is not"):
        require_address("localhost:5000")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        ("9" * 5000, 999_999_999.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_an_answer_says_when_to_come_back(header: str, seconds: float) -> None:
    error = told_when(ThrottledError("slow down"), {"retry-after": header})
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


def test_an_answer_says_when_to_come_back_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = told_when(ThrottledError("slow down"), {"retry-after": later})
    assert isinstance(error, ThrottledError)
    assert error.retry_after == pytest.approx(90.0, abs=5.0)


@pytest.mark.parametrize("header", ["", "soon", "-5", "1.5", "nan", "\u00b2", "Thu, 99 Foo 2026"])
def test_a_time_that_cannot_be_read_is_none(header: str) -> None:
    error = told_when(ThrottledError("slow down"), {"retry-after": header} if header else {})
    assert isinstance(error, ThrottledError)
    assert error.retry_after is None


def test_any_other_refusal_has_no_time() -> None:
    refusal = ProviderError("no")
    assert told_when(refusal, {"retry-after": "5"}) is refusal
    assert not hasattr(refusal, "retry_after")
