"""Nodes that never come up, or are not who they should be."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial

import asyncssh

from spotdeploy.model import Verdict
from spotdeploy.node import paths
from spotdeploy_local.linux.cgroups import Groups
from tests.cycles.project import Done, Running, eventually
from tests.faults import local_testbed, machine_testbeds
from tests.faults.case import Case, Family, Open
from tests.faults.cycle_points import booting, troubled
from tests.faults.node_testbed import NodeTestbed

POWERING_OFF = 20.0
"""Seconds."""
INFRASTRUCTURE = Verdict.INFRASTRUCTURE_FAILED


def cases() -> Iterator[Case]:
    """Every case."""
    here = partial(_case, "local", local_testbed.opened)
    yield here("its power is cut at once", partial(_acting, act=_cut_power), says="stopped")
    yield here("it freezes as it boots", partial(_acting, act=_freeze))
    yield here("it powers itself off at once", partial(_acting, act=_power_off), says="stopped")
    for where, opened in machine_testbeds.TESTBEDS.items():
        lab = partial(_case, where, opened)
        if where.startswith("azure"):
            fails = partial(_acting, act=_cut_power)
            yield lab("its power fails before ssh", fails, says="during boot")
        if where.startswith("aws"):
            yield lab("its ssh server is masked", partial(_built, files=MASKED))
        if where.startswith("gcp"):
            strange = "its host key is not the expected one"
            stranger = partial(_built, files=_other_key())
            yield lab("another machine answers at its address", stranger, says=strange)


MASKED: Mapping[str, bytes] = {
    "/etc/systemd/system/ssh.service": b"",
    "/etc/systemd/system/ssh.socket": b"",
}


def _other_key() -> Mapping[str, bytes]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return {
        paths.HOST_KEY: key.export_private_key(),
        f"{paths.HOST_KEY}.pub": key.export_public_key(),
    }


def _case(
    where: str,
    opened: Open,
    fault: str,
    action: Callable[[NodeTestbed], Done],
    *,
    says: str = "",
    quick: bool = False,
) -> Case:
    told = partial(_telling, action=action, says=says)
    return Case(Family.BOOT, where, fault, INFRASTRUCTURE, opened, told, quick=quick, machines=True)


def _telling(testbed: NodeTestbed, *, action: Callable[[NodeTestbed], Done], says: str) -> Done:
    testbed.project.config["timeouts"]["boot"] = "8s"
    done = action(testbed)
    assert says in done.out + done.err, done
    return done


def _acting(testbed: NodeTestbed, *, act: Callable[[NodeTestbed], None]) -> Done:
    def hit(running: Running) -> None:
        eventually(lambda: any(m.pid for m in testbed.engine.machines()), "its machine is there")
        act(testbed)

    return troubled(testbed, booting, hit)


def _built(testbed: machine_testbeds.MachineTestbed, *, files: Mapping[str, bytes]) -> Done:
    testbed.lab.hypervisor.files = files
    return testbed.project.cycle()


def _cut_power(testbed: NodeTestbed) -> None:
    testbed.engine.stop([testbed.machine().id])


def _freeze(testbed: NodeTestbed) -> None:
    for pid in _inside(testbed):
        os.kill(pid, signal.SIGSTOP)


def _power_off(testbed: NodeTestbed) -> None:
    machine, (init, *_) = testbed.machine(), _inside(testbed)
    deadline = time.monotonic() + POWERING_OFF
    while any(one.pid for one in testbed.engine.machines() if one.id == machine.id):
        assert time.monotonic() < deadline, "it never powered off"
        with suppress(ProcessLookupError):  # systemd hears it only once it listens
            os.kill(init, signal.SIGRTMIN + 4)
        time.sleep(0.05)


def _inside(testbed: NodeTestbed) -> list[int]:
    """The machine's own processes, its init first."""
    groups, machine = Groups.mounted(testbed.engine.layout.group), testbed.machine()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [pid for pid in groups.processes(machine.id) if _number_inside(pid) is not None]
        if any(_number_inside(pid) == 1 for pid in found):
            return sorted(found, key=lambda pid: _number_inside(pid) or 0)
    raise AssertionError("the machine's init never started")


def _number_inside(pid: int) -> int | None:
    """A process's id within the container; None for the supervisor and what is gone."""
    try:
        with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
            numbers = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
    except OSError:
        return None
    return int(numbers[-1]) if len(numbers) > 2 else None  # host, supervisor, container
