"""Points in a cycle of one node, and acting at them."""

from __future__ import annotations

from collections.abc import Callable
from signal import Signals

from spotdeploy.node import paths
from tests.cycles.project import Done, Running, eventually
from tests.faults.node_testbed import NodeTestbed

Moment = Callable[[NodeTestbed, Running], None]
"""Waits until a cycle has come to a point."""


def troubled(
    testbed: NodeTestbed, moment: Moment, act: Callable[[Running], object], *more: str
) -> Done:
    """Run a cycle and act in the middle of it. Its events are on standard output."""
    with testbed.project.started("cycle", "--events", "-", *more) as running:
        moment(testbed, running)
        act(running)
        return running.end()


def sending(*numbers: Signals) -> Callable[[Running], None]:
    """An act: signals for the command."""

    def act(running: Running) -> None:
        for number in numbers:
            running.send(number)

    return act


def creating(testbed: NodeTestbed, running: Running) -> None:
    """When nodes are about to be asked for."""
    running.until('"step":"create"')


def booting(testbed: NodeTestbed, running: Running) -> None:
    """When the node was made, long before it answers."""
    running.until('"phase":"boot"')


def shipping(testbed: NodeTestbed, running: Running) -> None:
    """When the node has answered, and nothing was done to it."""
    running.until('"phase":"ship"')


def uploading(testbed: NodeTestbed, running: Running) -> None:
    """While the payload is on its way; it must be large."""
    shipping(testbed, running)
    big = testbed.on_disk(f"{paths.ROOT}/incoming/tree/payload/big.bin")
    eventually(big.exists, "the upload is under way")


def deploying(testbed: NodeTestbed, running: Running) -> None:
    """When the payload's entry runs."""
    running.until('"phase":"deploy"')
    eventually(testbed.on_disk(paths.DEPLOYMENT_LOG).exists, "the entry runs")


def rebooting(testbed: NodeTestbed, running: Running) -> None:
    """When the node was told to reboot."""
    running.until('"phase":"reboot"')
    eventually(testbed.on_disk(paths.BEFORE_REBOOT).exists, "the reboot was asked for")


def verifying(testbed: NodeTestbed, running: Running) -> None:
    """When a check was answered."""
    running.until('"event":"check-answered"')


def collecting(testbed: NodeTestbed, running: Running) -> None:
    """When evidence is brought back; the payload must fail."""
    running.until('"ok":false')


def destroying(testbed: NodeTestbed, running: Running) -> None:
    """When the nodes are about to be destroyed at the end."""
    running.until('"event":"node-ended"')
    running.until('"step":"destroy"')
