"""`spotdeploy logs` and `spotdeploy run` on real machines, beside a cycle and after it."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cycles.project import Done, Project

pytestmark = pytest.mark.machines

TOKEN = "correct-horse-battery"
SERVER = """\
import os, selectors, socket

waiting = selectors.DefaultSelector()
for family, address in (
    (socket.AF_UNIX, "/run/open.sock"), (socket.AF_UNIX, "\\0open"),
    (socket.AF_INET, ("127.0.0.1", 8081)),
):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "/run/open.sock" and os.path.exists(address):
        os.unlink(address)
    server.bind(address)
    server.listen()
    waiting.register(server, selectors.EVENT_READ)
os.chmod("/run/open.sock", 0o666)
if not os.path.exists("/run/open.pipe"):
    os.mkfifo("/run/open.pipe")
os.chmod("/run/open.pipe", 0o666)
pipe = os.open("/run/open.pipe", os.O_RDWR)
os.write(pipe, bytes(99))
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""
UNITS = {
    "open": "ExecStart=/usr/bin/python3 -u /opt/spotdeploy/payload/server.py",
    "ticker": "ExecStart=/bin/sh -c 'while :; do echo tick; sleep 1; done'",
    "again": "Type=oneshot\nExecStart=/bin/sh -c 'echo booted again >> /opt/deployment.log'\n"
    "ExecStart=/bin/mount -t tmpfs -o mode=1777 open /srv/open",
    "idle": "ExecStart=/bin/sleep infinity",
}
POLKIT = "org.freedesktop.PolicyKit1.service"
"""By which the system bus starts polkit."""
ENTRY = """\
set -eu
mkdir /srv/open
for step in 1 2 3; do echo "step $step, token $TOKEN"; sleep 1; done
cp *.service /etc/systemd/system/
systemctl enable open ticker again
[ "$SPOTDEPLOY_GROUP" = head ] || touch /usr/share/dbus-1/system-services/$POLKIT
"""
PYTHON = """python3 -c '
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
{}
'"""
ATTEMPTS = {
    "file in etc": "touch /etc/changed",
    "file in opt": "touch /opt/changed",
    "file in var": "touch /var/lib/changed",
    "file of root": "touch /root/changed",
    "file of the user": "touch /home/spotdeploy/changed",
    "file in run": "touch /run/changed",
    "file in a folder of run for everybody": "touch /run/lock/changed",
    "file in a mounted folder for everybody": "touch /srv/open/changed",
    "shared memory by file": "touch /dev/shm/changed",
    "message queue by file": "touch /dev/mqueue/changed",
    "deployment log": "echo changed >> /opt/deployment.log",
    "shipped file": "echo >> /opt/spotdeploy/payload/server.py",
    "mark": "rm -f /var/lib/spotdeploy/sessions && test ! -e /var/lib/spotdeploy/sessions",
    "mount": "mount -t tmpfs changed /mnt",
    "mount to write": "mount -o remount,rw /",
    "unmount": "umount /srv/open",
    "kernel setting": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "cgroup": "mkdir /sys/fs/cgroup/systemd/changed || mkdir /sys/fs/cgroup/changed",
    "kernel log": "echo changed > /dev/kmsg",
    "device": "mknod /tmp/device c 1 3",
    "namespace of its own": "unshare --user --map-root-user true",
    "namespace of another": "nsenter --target 1 --mount touch /etc/changed",
    "root of another process": "touch /proc/1/root/etc/changed",
    "folder of another process": "touch /proc/$(systemctl show -P MainPID open)/cwd/changed",
    "signal": "kill -CONT $(systemctl show -P MainPID open)",
    "signal to the first process": "kill -CONT 1",
    "start a unit": "systemctl start idle",
    "stop a unit": "systemctl stop idle",
    "unit of its own": "systemd-run --wait touch /etc/changed",
    "reload by the bus": "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
    "org.freedesktop.systemd1.Manager Reload",
    "activation by the bus": "busctl call org.freedesktop.hostname1 /org/freedesktop/hostname1 "
    "org.freedesktop.hostname1 SetHostname sb changed false",
    "lingering": "loginctl enable-linger",
    "reboot": "systemctl reboot || systemctl reboot --force --force",
    "sudo": "sudo -n touch /etc/changed",
    "other user": "setpriv --reuid=0 touch /etc/changed",
    "journal": "logger changed",
    "journal by a stream": "echo changed | systemd-cat",
    "socket of a service": PYTHON.format('socket.socket(socket.AF_UNIX).connect("/run/open.sock")'),
    "pipe of a service": "timeout 2 sh -c 'echo changed > /run/open.pipe'",
    "what a service is given": "timeout 2 dd if=/run/open.pipe bs=1 count=1",
    "terminal of another": PYTHON.format('os.open("/dev/pts/ptmx", os.O_RDWR)'),
    "key": PYTHON.format(
        'add = 248 if os.uname().machine == "x86_64" else 217; '
        'sys.exit(libc.syscall(add, b"user", b"changed", b"x", 1, -5) == -1)'
    ),
    "queue of calls": PYTHON.format(
        "libc.syscall(425, 1, 0); sys.exit(ctypes.get_errno() in (1, 38))"
    ),
    "abstract socket": PYTHON.format('socket.socket(socket.AF_UNIX).connect("\\0open")'),
    "port of a service": PYTHON.format('socket.create_connection(("127.0.0.1", 8081), 2)'),
    "shared memory": PYTHON.format("sys.exit(libc.shmget(42, 4096, 0o1666) == -1)"),
    "semaphore": PYTHON.format("sys.exit(libc.semget(42, 1, 0o1666) == -1)"),
    "message queue": PYTHON.format('sys.exit(libc.mq_open(b"/changed", 66, 0o666, None) == -1)'),
    "memory of another process": PYTHON.format("sys.exit(libc.ptrace(16, 1, 0, 0) == -1)"),
    "file by its handle": PYTHON.format(
        "libc.open_by_handle_at(-1, 0, 0); sys.exit(ctypes.get_errno() == 1)"
    ),
    "name": "hostname changed",
    "clock": "date --set 2020-01-01",
    "much in tmp": "dd if=/dev/zero of=/tmp/much bs=1M count=200",
    "process that stays": "setsid sleep 4711 & exit 1",
}
"""Each exits with 0 only where it changed something of the node, or could."""
FILES = (
    *("file in etc", "file in opt", "file in var", "file of root", "file of the user"),
    *("file in run", "file in a folder of run for everybody", "shared memory by file"),
    *("file in a mounted folder for everybody", "message queue by file", "deployment log"),
)
BY_ROOT = (
    *FILES,
    *("shipped file", "mount", "namespace of another", "root of another process"),
    *("signal", "signal to the first process", "start a unit", "stop a unit", "unit of its own"),
    *("reload by the bus", "sudo", "journal", "journal by a stream", "socket of a service"),
    *("abstract socket", "port of a service", "shared memory", "semaphore", "message queue"),
    *("folder of another process", "pipe of a service", "what a service is given"),
    "terminal of another",
)
"""Those that are known to change a node of ours when nothing holds them back."""


def tried(*names: str) -> str:
    """A line for the shell that tries them all and tells those that changed something."""
    lines = [f"( {ATTEMPTS[name]} ) >/dev/null 2>&1 && echo {shlex.quote(name)}" for name in names]
    return "\n".join([*lines, "echo all tried"])


class Fixed(Project):
    """Its commands have one environment, whichever test runs them."""

    def __init__(self, folder: Path, deployment: str) -> None:
        super().__init__(folder, deployment)
        home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        self._fixed = dict(os.environ) | home | {"WATCH_TOKEN": TOKEN}

    @property
    def environment(self) -> dict[str, str]:
        return self._fixed


@dataclass(frozen=True)
class Watched:
    """A deployment that was followed while its cycle ran."""

    project: Project
    cycle: Done
    followed: Done
    head: str
    """The node of the group of that name."""
    tail: str

    def run(self, *arguments: str, code: int = 0) -> Done:
        """Run a command that ends with this code."""
        done = self.project.run(*arguments)
        assert done.code == code, done
        return done


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    name = f"watched-{secrets.token_hex(3)}"  # workers share this computer
    with Fixed.opened(tmp_path_factory.mktemp("watched"), name) as project:
        project.entry(ENTRY)
        project.file("server.py", SERVER)
        for unit, service in UNITS.items():
            text = f"[Service]\n{service}\n[Install]\nWantedBy=multi-user.target\n"
            project.file(f"{unit}.service", text)
        project.config |= {"keep": "always", "groups": {"head": {"count": 1}, "tail": {"count": 1}}}
        del project.config["nodes"]["count"]
        project.config["payload"] |= {
            "reboot": True,
            "secrets": {"TOKEN": "env:WATCH_TOKEN"},
            "environment": {"POLKIT": POLKIT},
        }
        project.config["checks"] = [{"type": "systemd", "units": ["open", "ticker"]}]
        with project.started("logs", "-f") as following:
            cycle = project.run("cycle")
            for _ in range(2):
                following.until("booted again")
            following.send(signal.SIGINT)
            followed = following.end()
        names = {node["group"]: node["name"] for node in project.nodes()}
        yield Watched(project, cycle, followed, names["head"], names["tail"])


def test_logs_are_followed_beside_a_cycle_through_the_reboot(watched: Watched) -> None:
    assert watched.cycle.code == 0, watched.cycle
    assert watched.followed.code == 130, watched.followed
    for name in (watched.head, watched.tail):
        lines = [
            line.partition(" | ")[2]
            for line in watched.followed.out.splitlines()
            if line.startswith(f"{name} | ")
        ]
        steps = [f"step {number}, token [redacted]" for number in (1, 2, 3)]
        assert [line for line in lines if "step" in line or "booted" in line] == [
            *steps,
            "booted again",
        ]


def test_the_events_of_the_cycle_have_the_last_line_of_the_log_as_it_grew(watched: Watched) -> None:
    (run,) = (watched.project.folder / ".spotdeploy" / "runs").iterdir()
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    told = [one["text"] for one in events if one["event"] == "phase-progress"]
    assert [one for one in told if one.startswith("step ")]
    assert TOKEN not in "".join(told)


def test_logs_of_kept_nodes_are_bounded_and_chosen(watched: Watched) -> None:
    head, tail = watched.head, watched.tail
    done = watched.run("logs", "-n", "1")
    assert sorted(done.out.splitlines()) == sorted(f"{n} | booted again" for n in (head, tail))
    done = watched.run("logs", "tail", "-n", "1")
    assert done.out == f"{tail} | booted again\n"
    done = watched.run("logs", head, "-n", "1")
    assert done.out == "booted again\n"
    ticks = watched.run("logs", head, "--unit", "ticker", "-n", "3").out.splitlines()
    assert [line.rpartition(": ")[2] for line in ticks] == ["tick"] * 3
    assert watched.run("logs", "--unit", "again.service", "--since", "1ms").out == ""


def test_logs_as_json_are_lines(watched: Watched) -> None:
    head = watched.head
    done = watched.run("logs", "head", "--unit", "ticker", "-n", "2", "--json")
    lines = [Done(0, line, "").json() for line in done.out.splitlines()]
    assert [(one["node"], one["group"]) for one in lines] == [(head, "head")] * 2
    assert lines[0]["at"] < lines[1]["at"]


def test_a_unit_that_no_node_has_is_refused_with_the_nearest(watched: Watched) -> None:
    done = watched.run("logs", "--unit", "tickr", code=2)
    assert done.err.count("it has no unit tickr; did you mean ticker.service?") == 2


def test_following_ends_when_nobody_reads(watched: Watched) -> None:
    with watched.project.started("logs", "-f", "-n", "1") as following:
        following.until("booted again")
        assert following._process.stdout is not None
        following._process.stdout.close()
        assert following._process.wait(timeout=20) == 0


def test_a_command_is_asked_of_all_nodes_of_a_group_or_of_one(watched: Watched) -> None:
    head, tail = watched.head, watched.tail
    done = watched.run("run", "--", "pgrep -f server.py && hostname")
    assert {f"{head} | {head}", f"{tail} | {tail}"} <= set(done.out.splitlines())
    assert done.out.endswith("exit code 0 on 2 of 2 nodes\n")
    done = watched.run("run", "-g", "tail", "--json", "--", "hostname; exit 3", code=1)
    (answer,) = done.json()
    assert (answer["node"], answer["stdout"], answer["exit_code"]) == (tail, tail, 3)
    done = watched.run("run", head, "--", "kill -TERM $$", code=1)
    assert f"{head}  143" in done.out
    done = watched.run("run", head, "--", "nonesuch", "-x", code=1)
    assert f"{head}  127" in done.out
    done = watched.run("run", head, "--timeout", "500ms", "--", "echo begun; sleep 60", code=1)
    assert f"{head} | begun\n{head} | no end within 0.5s" in done.out


def test_the_arguments_arrive_as_they_are(watched: Watched) -> None:
    head = watched.head
    odd = ["%n", "$HOME", "${HOME}", "$$", "a  b", "'", '"', "\\", "*", "", "é", "--", "-c", "a\nb"]
    done = watched.run("run", head, "--json", "--", "printf", "<%s>", *odd)
    (answer,) = done.json()
    assert answer["stdout"] == "".join(f"<{word}>" for word in odd)


def test_everything_can_be_read_and_what_is_secret_is_not_shown(watched: Watched) -> None:
    head = watched.head
    line = "cat /etc/shadow; ls /root; grep token /opt/deployment.log"
    done = watched.run("run", head, "--", line)
    assert f"{head} | root:" in done.out
    assert "[redacted]" in done.out
    assert TOKEN not in done.out


def test_only_with_network_is_the_nodes_network_there(watched: Watched) -> None:
    head = watched.head
    line = PYTHON.format('socket.create_connection(("127.0.0.1", 8081), 2)')
    watched.run("run", head, "--", line, code=1)
    watched.run("run", head, "--network", "--", line)


def test_units_can_be_asked_where_no_polkit_lets_strangers_change_them(watched: Watched) -> None:
    done = watched.run("run", "--", "systemctl", "is-active", "open", code=1)
    assert f"{watched.head} | active" in done.out.splitlines()
    assert f"{watched.tail} | active" not in done.out.splitlines()
    assert "systemctl cannot ask in the sandbox of a node with polkit" in done.out


@pytest.fixture(scope="module")
def answer(watched: Watched) -> Any:
    """What the attempts gave in the sandbox."""
    head = watched.head
    done = watched.run("run", head, "--timeout", "60s", "--json", "--", tried(*ATTEMPTS))
    (answer,) = done.json()
    return answer


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_attempt_changes_the_node(answer: Any, attempt: str) -> None:
    *changed, end = answer["stdout"].splitlines()
    assert end == "all tried", answer
    assert attempt not in changed


def test_nothing_of_the_attempts_is_left(watched: Watched, answer: Any) -> None:
    head = watched.head
    assert not answer["touched"]
    line = (
        "find / -xdev -name '*changed*' 2>/dev/null; ls -A /srv/open /run/lock /dev/shm /dev/mqueue"
        "; pgrep -fx 'sleep 4711'; systemctl is-active idle; hostname"
        "; journalctl --grep '^changed$' --quiet; tail -n 1 /opt/deployment.log"
    )
    done = watched.run("run", head, "--json", "--", line)
    (left,) = done.json()
    told = [one for one in left["stdout"].splitlines() if not one.startswith("/")]
    folders = ("subsys", "")
    assert [one for one in told if one not in folders] == ["inactive", head, "booted again"], left
    assert not [one for one in left["stdout"].splitlines() if "changed" in one], left


def test_reading_and_asking_leave_no_node_touched(watched: Watched, answer: Any) -> None:
    del answer
    done = watched.run("verify")
    assert "touched" not in done.out


def test_by_hand_it_changes_the_node_which_is_touched_then(watched: Watched) -> None:
    head, tail = watched.head, watched.tail
    done = watched.run("run", head, "--write", "--json", "--", tried(*BY_ROOT))
    (answer,) = done.json()
    assert answer["stdout"].splitlines() == [*BY_ROOT, "all tried"]
    assert answer["touched"]
    done = watched.run("run", head, "--write", "--", "true")
    assert "1 node touched by --write" in done.out
    done = watched.run("verify", code=1)
    assert f"{head}: payload: " in done.out
    assert "spotdeploy run --write" in done.out
    assert f"{tail}: payload" not in done.out


def test_where_every_account_is_in_use_systemd_makes_one(watched: Watched) -> None:
    head = watched.head
    busy = "for user in games news nobody; do setpriv --reuid $user --clear-groups sleep 300 & done"
    watched.run("run", head, "--write", "--", f"({busy}) >/dev/null 2>&1 </dev/null")
    done = watched.run("run", head, "--json", "--", f"id --user\n{tried(*FILES)}")
    user, *said = done.json()[0]["stdout"].splitlines()
    assert 61184 <= int(user) <= 65519, "of systemd's dynamic users"
    assert said == ["all tried"]
