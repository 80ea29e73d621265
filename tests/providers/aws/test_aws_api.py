"""Answers of which nothing is lost: pages, shapes, and what comes instead of an answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from threading import Barrier, Thread
from xml.sax.saxutils import escape

import pytest

from spotdeploy.errors import (
    CapacityError,
    ConfigError,
    LostReplyError,
    ProviderError,
    ThrottledError,
)
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Api
from spotdeploy_aws.auth import Chain
from spotdeploy_aws.destroy import leftovers
from spotdeploy_aws.nodes import find
from spotdeploy_aws.schemas import Parameters
from tests.labs.aws.call import DROPPED, NAMESPACE, AwsError, Call, Reply
from tests.labs.aws.proxy import SECRETS, Proxy
from tests.providers.aws.conftest import REGION

Serve = Callable[[Callable[[Call], Reply]], Api]


@pytest.fixture(autouse=True)
def _keys() -> None:
    access, secret = next(iter(SECRETS.items()))
    os.environ |= {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_CONFIG_FILE": os.devnull,
    }


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Make an Api that talks to a function."""
    with ExitStack() as stack:

        def serve(handle: Callable[[Call], Reply]) -> Api:
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            proxy = Proxy(listener, handle)
            proxy.start()
            stack.callback(proxy.stop)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            return Api(Chain(None), REGION, url)

        yield serve


def refusal(code: str) -> bytes:
    """The body of an error answer."""
    return AwsError(code, "message of AWS").reply().body


def listing(ids: range, token: str = "", namespace: str = NAMESPACE) -> Reply:
    """A page of DescribeInstances, each instance in a reservation of its own."""
    items = "".join(
        f"<item><instancesSet><item><instanceId>i-{number:017x}</instanceId>"
        "<instanceState><code>16</code><name>running</name></instanceState>"
        "</item></instancesSet></item>"
        for number in ids
    )
    return Reply(
        200,
        f'<DescribeInstancesResponse xmlns="{namespace}"><reservationSet>{items}</reservationSet>'
        f"<nextToken>{escape(token)}</nextToken></DescribeInstancesResponse>".encode(),
    )


def test_more_than_a_thousand_machines_are_all_listed(serve: Serve) -> None:
    def pages(call: Call) -> Reply:
        start = int(call.parameters.get("NextToken", "0"))
        size = int(call.parameters["MaxResults"])
        end = min(start + size, 2345)
        return listing(range(start, end), str(end) if end < 2345 else "")

    found = find(serve(pages), criteria={"tag:a": ["b"]})
    assert len({node["InstanceId"] for node in found}) == 2345


@pytest.mark.parametrize(
    "body",
    [
        "<DescribeImagesResponse/>",
        f'<html xmlns="{NAMESPACE}"/>',
        "<Response><Errors/></Response>",
    ],
)
def test_an_answer_of_another_shape_is_an_error_and_not_an_empty_list(
    serve: Serve, body: str
) -> None:
    api = serve(lambda _: Reply(200, body.encode()))
    with pytest.raises(ProviderError, match="not a DescribeInstancesResponse"):
        find(api, criteria={"tag:a": ["b"]})


@pytest.mark.parametrize("body", [b"", b"all is well", b"<html>"])
def test_an_answer_that_is_no_xml_is_an_error(serve: Serve, body: bytes) -> None:
    api = serve(lambda _: Reply(200, body))
    with pytest.raises(ProviderError, match="DescribeInstances in us-west-2"):
        find(api, criteria={"tag:a": ["b"]})


def test_an_error_page_of_a_load_balancer_asks_for_patience(serve: Serve) -> None:
    api = serve(lambda _: Reply(503, b"<html>Service Unavailable"))
    with pytest.raises(ThrottledError, match="HTTP 503"):
        api.call(Action.DESCRIBE_SUBNETS)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"<html>sign in"), LostReplyError),
        (Reply(200, b"<RunInstancesResponse><instancesSet><ite"), LostReplyError),
        (Reply(200, b"<DescribeImagesResponse/>"), LostReplyError),
        (Reply(502, b"upstream connect error"), LostReplyError),
        (Reply(504, b"<html>Gateway Time-out"), LostReplyError),
        (Reply(500, refusal("SomethingNew")), LostReplyError),
        (Reply(503, refusal("Unavailable")), LostReplyError),
        (Reply(503, refusal("RequestLimitExceeded")), ThrottledError),
        (Reply(302, b"<html>sign in"), ProviderError),
        (Reply(400, b"what?"), ProviderError),
        (Reply(500, refusal("InsufficientInstanceCapacity")), CapacityError),
    ],
)
def test_a_create_call_whose_outcome_is_open_is_lost_and_not_refused(
    serve: Serve, reply: Reply, kind: type[ProviderError]
) -> None:
    launch: Parameters = {"MinCount": 1, "MaxCount": 1}
    with pytest.raises(ProviderError, match="RunInstances in us-west-2") as caught:
        serve(lambda _: reply).call(Action.RUN_INSTANCES, launch, repeatable=False)
    assert type(caught.value) is kind


@pytest.mark.parametrize("begun", ["DescribeSubnetsResponse", "<DescribeSubnetsResponse><subn"])
def test_an_answer_of_which_a_part_was_lost_may_be_asked_for_again(begun: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener.accept()[0] as connection:
            asked = b""
            while not asked.endswith(b"Version=2016-11-15"):
                asked += connection.recv(65536)
            body = begun.encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + 100}\r\n\r\n"
            connection.sendall(head.encode() + body)

    thread = Thread(target=answer)
    thread.start()
    api = Api(Chain(None), REGION, f"http://127.0.0.1:{listener.getsockname()[1]}")
    with listener, pytest.raises(ThrottledError, match=r"\d+ of \d+ bytes"):
        api.call(Action.DESCRIBE_SUBNETS)
    thread.join()


def test_a_call_is_sent_once(serve: Serve) -> None:
    """The one retry policy is the core's."""
    seen: list[str] = []

    def busy(call: Call) -> Reply:
        seen.append(call.action)
        return Reply(503, refusal("RequestLimitExceeded"))

    os.environ |= {"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive"}
    with pytest.raises(ThrottledError):
        serve(busy).call(Action.DESCRIBE_SUBNETS)
    assert seen == ["DescribeSubnets"]


def test_what_is_left_is_listed_at_the_same_time(serve: Serve) -> None:
    """Each listing is answered when all four were asked."""
    together = Barrier(4, timeout=20)

    def answer(call: Call) -> Reply:
        together.wait()
        return Reply(200, f"<{call.action}Response/>".encode())

    assert leftovers(serve(answer), {"a": "b"}) == []


def test_one_listing_that_fails_is_not_taken_for_an_empty_one(serve: Serve) -> None:
    def answer(call: Call) -> Reply:
        if call.action == "DescribeVolumes":
            return Reply(503, refusal("RequestLimitExceeded"))
        return Reply(200, f"<{call.action}Response/>".encode())

    with pytest.raises(ThrottledError, match="DescribeVolumes"):
        leftovers(serve(answer), {"a": "b"})


def test_a_proxy_that_is_not_there_is_named() -> None:
    os.environ |= {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    with pytest.raises(ProviderError, match="cannot reach") as caught:
        Api(Chain(None), REGION, "http://ec2.example").call(Action.DESCRIBE_SUBNETS)
    assert type(caught.value) is ProviderError
    assert "proxy" in str(caught.value.hint)


def test_an_endpoint_that_answered_before_is_waited_for(serve: Serve) -> None:
    up = [True]

    def answer(_: Call) -> Reply:
        return Reply(200, b"<DescribeSubnetsResponse/>") if up[0] else DROPPED

    api = serve(answer)
    api.call(Action.DESCRIBE_SUBNETS)
    up[0] = False
    with pytest.raises(ThrottledError, match="no answer from http://127"):
        api.call(Action.DESCRIBE_SUBNETS)


@pytest.mark.parametrize("namespace", ["http://ec2.amazonaws.com/doc/2016-11-15", "urn:else"])
def test_another_namespace_hides_no_machine(serve: Serve, namespace: str) -> None:
    api = serve(lambda _: listing(range(3), namespace=namespace))
    assert len(find(api, criteria={"tag:a": ["b"]})) == 3


def test_a_listing_that_never_ends_is_an_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdeploy_aws.api.MAX_PAGES", 3)
    pages = count(1)
    api = serve(lambda _: listing(range(1), str(next(pages))))
    with pytest.raises(ProviderError, match="more than 3 pages"):
        find(api, criteria={"tag:a": ["b"]})


def test_a_listing_that_goes_in_circles_is_an_error(serve: Serve) -> None:
    api = serve(lambda _: listing(range(1), "again"))
    with pytest.raises(ProviderError, match="token was received twice"):
        find(api, criteria={"tag:a": ["b"]})


def test_an_endpoint_that_is_not_there_is_named() -> None:
    api = Api(Chain(None), REGION, "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"cannot reach http://127\.0\.0\.1:9") as caught:
        api.call(Action.DESCRIBE_SUBNETS)
    assert type(caught.value) is ProviderError
    assert caught.value.hint


@pytest.mark.parametrize("endpoint", ["localhost:5000", "ftp://127.0.0.1", "http://a b"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=endpoint) as caught:
        Api(Chain(None), REGION, endpoint).call(Action.DESCRIBE_SUBNETS)
    assert "provider.aws.endpoint" in str(caught.value.hint)
