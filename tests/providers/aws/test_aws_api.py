"""The query language, and answers of which nothing is lost: pages and shapes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from xml.sax.saxutils import escape

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Ec2Driver, filters, flatten, tag_filters
from spotdeploy_aws.auth import Keys
from tests.labs.aws.call import NAMESPACE, Call, Reply
from tests.labs.aws.proxy import SECRETS, Proxy
from tests.providers.aws.conftest import REGION

KEYS = Keys(*next(iter(SECRETS.items())), None)
Serve = Callable[[Callable[[Call], Reply]], Ec2Driver]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Make a driver that talks to a function."""
    with ExitStack() as stack:

        def serve(handle: Callable[[Call], Reply]) -> Ec2Driver:
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            proxy = Proxy(listener, handle)
            proxy.start()
            stack.callback(proxy.stop)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            return Ec2Driver(REGION, url, lambda: KEYS)

        yield serve


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

    found = serve(pages).list_nodes(ex_filters={"tag:a": ["b"]})
    assert len({node.id for node in found}) == 2345


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
    driver = serve(lambda _: Reply(200, body.encode()))
    with pytest.raises(ProviderError, match="is not a DescribeInstancesResponse"):
        driver.list_nodes(ex_filters={"tag:a": ["b"]})


@pytest.mark.parametrize("body", [b"", b"all is well", b"<html>"])
def test_an_answer_that_is_no_xml_is_an_error(serve: Serve, body: bytes) -> None:
    driver = serve(lambda _: Reply(200, body))
    with pytest.raises(ProviderError, match="DescribeInstances in us-west-2"):
        driver.list_nodes(ex_filters={"tag:a": ["b"]})


def test_an_error_page_of_a_load_balancer_asks_for_patience(serve: Serve) -> None:
    driver = serve(lambda _: Reply(503, b"<html>Service Unavailable"))
    with pytest.raises(ThrottledError, match="HTTP 503"):
        driver.call(Action.DESCRIBE_SUBNETS)


@pytest.mark.parametrize("namespace", ["http://ec2.amazonaws.com/doc/2016-11-15", "urn:else"])
def test_another_namespace_hides_no_machine(serve: Serve, namespace: str) -> None:
    driver = serve(lambda _: listing(range(3), namespace=namespace))
    assert len(driver.list_nodes(ex_filters={"tag:a": ["b"]})) == 3


def test_a_listing_that_never_ends_is_an_error(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdeploy_libcloud.paging.MAX_PAGES", 3)
    driver = serve(lambda _: listing(range(1), "again"))
    with pytest.raises(ProviderError, match="more than 3 pages"):
        driver.list_nodes(ex_filters={"tag:a": ["b"]})


def test_an_endpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Ec2Driver(REGION, "http://127.0.0.1:9", lambda: KEYS)
    with pytest.raises(ProviderError, match=r"cannot reach http://127\.0\.0\.1:9") as caught:
        driver.call(Action.DESCRIBE_SUBNETS)
    assert type(caught.value) is ProviderError
    assert caught.value.hint


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ProviderError, match="'localhost:5000' is not"):
        Ec2Driver(REGION, "localhost:5000", lambda: KEYS)


def test_nested_data_become_numbered_names() -> None:
    assert flatten({"Filter": filters({"a": ["b", "c"]}), "MaxResults": 5}) == {
        "Filter.1.Name": "a",
        "Filter.1.Value.1": "b",
        "Filter.1.Value.2": "c",
        "MaxResults": "5",
    }


def test_booleans_are_written_as_ec2_reads_them() -> None:
    assert flatten({"A": True, "B": {"C": False}}) == {"A": "true", "B.C": "false"}


def test_empty_lists_leave_nothing() -> None:
    assert flatten({"A": [], "B": {}}) == {}


def test_a_filter_by_no_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one label"):
        tag_filters({})
