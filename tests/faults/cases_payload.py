"""Payloads that misbehave, each on a real machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from spotdeploy.model import Verdict
from tests.cycles.project import Done
from tests.faults.case import Case, Family
from tests.faults.local_testbed import LocalTestbed, local_case
from tests.faults.node_testbed import NodeTestbed
from tests.faults.testbed import TOKEN

PASSED, PAYLOAD = Verdict.PASSED, Verdict.PAYLOAD_FAILED
INFRASTRUCTURE = Verdict.INFRASTRUCTURE_FAILED
SHOWN_BYTES = 100_000
"""More than this on the screen nobody reads, whatever a payload prints."""
LOGIN = """
ssh-keygen -q -t ed25519 -N '' -f /root/key
cat /root/key.pub >> ~spotdeploy/.ssh/authorized_keys
ssh -n -o StrictHostKeyChecking=no -o LogLevel=ERROR -i /root/key spotdeploy@127.0.0.1 true"""
BAD_UNIT = """
cat > /etc/systemd/system/bad.service <<'END'
[Service]
ExecStart=/bin/false
[Install]
WantedBy=multi-user.target
END
systemctl enable bad.service"""
POWERS_OFF = BAD_UNIT.replace("/bin/false", "/bin/systemctl poweroff").replace("bad", "off")
NO_JOURNAL = (
    "systemctl stop systemd-journald.service systemd-journald.socket "
    "systemd-journald-dev-log.socket; rm -rf /var/log/journal /run/log/journal"
)
NO_SSH = "systemctl mask --runtime --now ssh.socket ssh.service; pkill -9 sshd; sleep 300"


def cases() -> Iterator[Case]:
    """Every case."""
    yield from _endings()
    yield from _outputs()
    yield from _destructions()
    yield from _reboots()


def _endings() -> Iterator[Case]:
    yield _case("the entry exits with 1", PAYLOAD, "exit 1")
    yield _case("the entry hangs", PAYLOAD, "sleep 1000", _soon)
    stubborn = "trap '' TERM INT HUP; while :; do sleep 1; done"
    yield _case("the entry hangs and ignores signals", PAYLOAD, stubborn, _soon)
    children = "sleep 1000 & setsid sleep 1000 & exit 0"
    yield _case("children stay and hold its output open", PASSED, children)
    many = "n=0; while [ $n -lt 400 ]; do n=$((n + 1)); sleep 1000 & done"
    yield _case("400 children stay", PASSED, many)
    crashing = "systemd-run --unit=svc sleep 3"
    yield _case("its service crashes 3 s later", PAYLOAD, crashing, _watching_service)
    yield _case("its service never starts", PAYLOAD, "true", _watching_service)
    yield _case("a check never ends", PAYLOAD, "true", _hanging_check, says="no end within 1s")
    failing = "failed units: bad.service"
    yield _case("a unit of its own fails at boot", PASSED, BAD_UNIT, reboot=True, says=failing)


def _outputs() -> Iterator[Case]:
    yield _case("prints 1 GB", PASSED, "yes | head -c 1G", _all_evidence)
    line = "head -c 300M /dev/zero | tr '\\0' x; exit 1"
    yield _case("prints one line of 300 MB and fails", PAYLOAD, line)
    yield _case("prints binary and fails", PAYLOAD, "head -c 3M /dev/urandom; exit 1")
    escapes = "printf '\\033]0;owned\\007\\033[2J\\033[31mred\\n'; exit 1"
    yield _case("prints terminal escapes and fails", PAYLOAD, escapes)
    yield _case("prints invalid UTF-8 and fails", PAYLOAD, "printf '\\377\\376\\n'; exit 1")
    telling = f"echo the token is ${TOKEN}; exit 1"
    yield _case("fails with its secret as the last word", PAYLOAD, telling, quick=True)
    told = f"echo ${TOKEN} > /opt/told"
    yield _case("writes its secret where checks and evidence look", PAYLOAD, told, _telling)


def _destructions() -> Iterator[Case]:
    yield _case("deletes /opt", PAYLOAD, "rm -rf /opt")
    yield _case("deletes its own files", PAYLOAD, "rm -rf /opt/spotdeploy/payload/*")
    edit = "(sleep 1; echo more >> /opt/spotdeploy/payload/entry.sh) &"
    yield _case("changes a shipped file later", PAYLOAD, edit, _stable, says="drift")
    yield _case("deletes the manifest", PAYLOAD, "rm /opt/spotdeploy/manifest")
    yield _case("logs in to its own node", PAYLOAD, LOGIN, says="touched")
    yield _case("deletes the log of who logged in", PAYLOAD, NO_JOURNAL)
    rights = "rm /etc/sudoers.d/spotdeploy"
    yield _case("takes away our right to be root", PAYLOAD, rights)
    fill = "dd if=/dev/zero of=/var/fill bs=1M"
    yield _case("fills its disk and fails", PAYLOAD, fill, _small_disk)
    quiet = f"{fill} || true"
    yield _case("fills its disk before the reboot", PAYLOAD, quiet, _small_disk, reboot=True)
    yield _case("crashes systemd", INFRASTRUCTURE, "kill -SEGV 1; sleep 1; exit 0")
    yield _case("kills the ssh server", INFRASTRUCTURE, NO_SSH, _not_long, says="refused")
    off = "systemctl poweroff; sleep 300"
    yield _case("powers its node off", INFRASTRUCTURE, off, says="stopped during deploy")


def _reboots() -> Iterator[Case]:
    yield _case("reboots its node by itself", PAYLOAD, "systemctl reboot; sleep 300")
    masked = "systemctl mask reboot.target"
    yield _case("makes the reboot impossible", PAYLOAD, masked, reboot=True, quick=True)
    hanging = "systemctl mask --runtime systemd-reboot.service"
    yield _case("lets the reboot hang", PAYLOAD, hanging, _short_reboot, reboot=True)
    stuck = BAD_UNIT.replace("/bin/false", "/bin/sleep 1000\nType=oneshot")
    yield _case("lets the next boot hang", PAYLOAD, stuck, _short_reboot, reboot=True)
    broken = "echo nonsense > /etc/ssh/sshd_config.d/99-mine.conf"
    yield _case(
        "breaks the ssh server for the next boot",
        PAYLOAD,
        broken,
        _short_reboot,
        reboot=True,
        says="did not come back",
    )
    yield _case(
        "lets the next boot power the node off",
        INFRASTRUCTURE,
        POWERS_OFF,
        reboot=True,
        says="stopped during",
    )


def _case(
    fault: str,
    expect: Verdict,
    script: str,
    prepare: Callable[[NodeTestbed], None] | None = None,
    *,
    reboot: bool = False,
    quick: bool = False,
    says: str = "",
) -> Case:
    action = partial(play, script=script, prepare=prepare, reboot=reboot, says=says)
    return local_case(Family.PAYLOAD, fault, expect, action, quick=quick)


def play(
    testbed: LocalTestbed,
    *,
    script: str,
    prepare: Callable[[NodeTestbed], None] | None,
    reboot: bool,
    says: str,
) -> Done:
    """A cycle of this entry. What it prints has these words, and is short and harmless."""
    testbed.entry(script, reboot=reboot)
    if prepare is not None:
        prepare(testbed)
    done = testbed.project.cycle()
    shown = done.out + done.err
    assert len(shown) < SHOWN_BYTES
    assert "\x1b" not in shown
    assert says in shown, done
    return done


def _soon(testbed: NodeTestbed) -> None:
    testbed.project.config["timeouts"]["deploy"] = "2s"


def _not_long(testbed: NodeTestbed) -> None:
    testbed.project.config["timeouts"]["deploy"] = "8s"


def _short_reboot(testbed: NodeTestbed) -> None:
    testbed.project.config["timeouts"]["reboot"] = "6s"


def _all_evidence(testbed: NodeTestbed) -> None:
    testbed.project.config["evidence"] = {"collect": "always"}


def _telling(testbed: NodeTestbed) -> None:
    testbed.check("cat /opt/told; cat /opt/told >&2; false", within="1s")
    testbed.project.config["evidence"] = {"files": ["/opt/told"]}


def _hanging_check(testbed: NodeTestbed) -> None:
    testbed.check("exec sleep 600", timeout="1s", within="2s")


def _watching_service(testbed: NodeTestbed) -> None:
    testbed.check("systemctl is-active svc", within="2s", stable_for="6s")


def _stable(testbed: NodeTestbed) -> None:
    testbed.check(stable_for="3s")


def _small_disk(testbed: NodeTestbed) -> None:
    testbed.small(testbed.engine.layout.state, "160m")
