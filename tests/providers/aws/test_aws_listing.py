"""Listings lose nothing: pages, shapes, states."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from xml.sax.saxutils import escape

import pytest

from spotdeploy.errors import ProviderError, ThrottledError
from spotdeploy.model import NodeState
from spotdeploy_aws.actions import Action
from spotdeploy_aws.api import Ec2Driver
from spotdeploy_aws.auth import Keys
from spotdeploy_aws.nodes import NOT_GONE, STATES
from spotdeploy_aws.provider import AwsProvider
from tests.labs.aws import AwsLab
from tests.labs.aws.call import NAMESPACE, Call, Reply
from tests.labs.aws.proxy import SECRETS, Proxy
from tests.providers.aws.conftest import REGION, SCOPE, batch, offer

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


def test_reservations_beyond_the_clouds_own_page_are_listed(
    provider: AwsProvider, lab: AwsLab
) -> None:
    for number in range(103):
        provider.create(offer(), batch(1, token=f"token-{number}"))
    assert len(provider.nodes(SCOPE)) == 103


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


def test_every_state_of_an_instance_has_a_meaning() -> None:
    states = {"pending", "running", "stopping", "stopped", "shutting-down", "terminated"}
    assert set(STATES) == states
    assert states - set(NOT_GONE) == {"terminated"}


def test_a_stopped_instance_is_listed_since_its_disk_is_billed(
    provider: AwsProvider, lab: AwsLab
) -> None:
    (node,) = provider.create(offer(), batch(1)).nodes
    lab.ask(REGION, {"Action": "StopInstances", "InstanceId.1": node.id})
    (seen,) = provider.nodes(SCOPE)
    assert seen.state is NodeState.STOPPED


def test_a_just_made_instance_appears_when_the_cloud_has_caught_up(
    provider: AwsProvider, lab: AwsLab
) -> None:
    moments = iter([0.0, *([1.0] * 2), *([9.0] * 4)])
    lab.timing.clock, lab.timing.listing_delay = lambda: next(moments), 5
    provider.create(offer(), batch(1))
    assert provider.nodes(SCOPE) == []
    lab.timing.clock = lambda: 9.0
    assert len(provider.nodes(SCOPE)) == 1
    assert provider.settle_seconds >= 5


def test_nodes_of_another_deployment_or_region_are_not_listed(
    provider: AwsProvider, make: Callable[..., AwsProvider]
) -> None:
    provider.create(offer(), batch(1))
    assert provider.nodes({"spotdeploy-deployment": "other"}) == []
    assert make("eu-west-1").nodes(SCOPE) == []


def test_an_endpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Ec2Driver(REGION, "http://127.0.0.1:9", lambda: KEYS)
    with pytest.raises(ProviderError, match=r"cannot reach http://127\.0\.0\.1:9") as caught:
        driver.call(Action.DESCRIBE_SUBNETS)
    assert type(caught.value) is ProviderError
    assert caught.value.hint


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ProviderError, match="'localhost:5000' is not"):
        Ec2Driver(REGION, "localhost:5000", lambda: KEYS)
