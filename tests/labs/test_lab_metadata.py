"""The metadata address that machines of several clouds share."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.labs.metadata import MetadataRequest, MetadataResponse, MetadataServer, MetadataService
from tests.labs.network import Loopback

HERE, THERE, NOWHERE = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class Cloud:
    """Says its name to its only machine."""

    def __init__(self, name: str, machine: str) -> None:
        self.name = name
        self.machine = machine

    def answer(self, request: MetadataRequest) -> MetadataResponse | None:
        """See `MetadataService`."""
        if request.address != self.machine:
            return None
        said = f"{self.name} {request.verb} {request.path} {request.headers.get('who', '')}"
        return MetadataResponse(200, said.encode(), {"Cloud": self.name})


@pytest.fixture
def clouds() -> list[MetadataService]:
    """Two clouds."""
    return [Cloud("here", HERE), Cloud("there", THERE)]


@pytest.fixture
def port(clouds: list[MetadataService]) -> Iterator[int]:
    """Where their one listener is."""
    listener = Loopback().listener("127.0.0.1")
    server = MetadataServer(listener, clouds)
    server.start()
    port: int = listener.getsockname()[1]
    yield port
    server.stop()


def ask(port: int, machine: str, verb: str = "GET") -> tuple[int, str]:
    """What a machine is told."""
    connection = HTTPConnection("127.0.0.1", port, source_address=(machine, 0))
    connection.request(verb, "/some/path?x=1", headers={"Who": "me"})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


@pytest.mark.parametrize("verb", ["GET", "PUT"])
def test_each_machine_hears_its_own_cloud(port: int, verb: str) -> None:
    assert ask(port, HERE, verb) == (200, f"here {verb} /some/path?x=1 me")
    assert ask(port, THERE, verb) == (200, f"there {verb} /some/path?x=1 me")


def test_a_machine_of_no_cloud_is_told_nothing(port: int) -> None:
    assert ask(port, NOWHERE) == (404, "")


def test_a_cloud_may_come_later(port: int, clouds: list[MetadataService]) -> None:
    clouds.append(Cloud("late", NOWHERE))
    assert ask(port, NOWHERE) == (200, "late GET /some/path?x=1 me")
