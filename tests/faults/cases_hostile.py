"""Nodes that are against us: each a real machine whose payload turns on whoever looks at it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial

from spotdeploy.model import Verdict
from tests.faults.case import Case, Ends, Family
from tests.faults.cases_payload import LOGIN, play
from tests.faults.local_testbed import local_case
from tests.faults.node_testbed import NodeTestbed

PASSED, PAYLOAD = Verdict.PASSED, Verdict.PAYLOAD_FAILED
INFRASTRUCTURE = Verdict.INFRASTRUCTURE_FAILED
HOME = "/home/spotdeploy"
DRIFT = "echo more >> /opt/spotdeploy/payload/entry.sh"
SERVER = """
import socket, sys, time
server = socket.create_server(("", int(sys.argv[1])), backlog=64)
open("/run/serving", "w").close()
while True:
    client, _ = server.accept()
    try:
        {deed}
    except OSError:
        continue
"""
SAYS = "client.recv(65536); client.sendall(text); client.close()"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "a chunk of 16 f's": CHUNKED + b"ffffffffffffffff\r\nx",
    "a length of 19 digits": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\nx",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\nx",
    "escapes for a status": b"HTTP/1.1 \x1b[2J\x1b]0;owned\x07\r\n\r\n",
    "nothing of HTTP": bytes(range(256)) * 64,
}
FLOODS = {
    "a head without an end": "client.sendall(text + b'a: b\\r\\n' * 4_000_000)",
    "a body without an end": (
        "client.sendall(text + b'\\r\\n'); [client.sendall(bytes(65536)) for _ in iter(int, 1)]"
    ),
}
SHADOWS = "systemctl journalctl find sort uniq xargs sha256sum stat sed tr cut flock timeout env"


def cases() -> Iterator[Case]:
    """Every case."""
    yield from _answers()
    yield from _shells()
    yield from _ssh()
    yield from _files()
    yield from _evidence()


def _answers() -> Iterator[Case]:
    for name, answer in ANSWERS.items():
        script = serving(8000, SAYS, answer)
        yield _case(f"a service answers {name}", PAYLOAD, script, _asked, quick="16" in name)
    for name, deed in FLOODS.items():
        script = serving(8000, f"client.recv(65536); {deed}", CHUNKED[:17])
        expect = PASSED if "body" in name else PAYLOAD
        yield _case(f"a service answers {name}", expect, script, _asked)
    script = serving(8000, "held.append(client)", b"", "held = []")
    yield _case("a service answers nothing, ever", PAYLOAD, script, _asked)


def _shells() -> Iterator[Case]:
    speaks = f"echo 'echo spoken; echo loudly >&2' | tee -a {HOME}/.bashrc /etc/profile"
    yield _case("every shell speaks first", PASSED, speaks, _checked)
    yield _case("our shell ends at once", PAYLOAD, f"sed -i '1i exit 0' {HOME}/.bashrc", _checked)
    yield _case("our shell never ends", PAYLOAD, f"sed -i '1i sleep 900' {HOME}/.bashrc", _checked)
    floods = f"sed -i '1i yes' {HOME}/.bashrc"
    yield _case("our shell speaks without an end", PAYLOAD, floods, _checked)
    yield _case("our shell is another program", PAYLOAD, "usermod -s /bin/false spotdeploy")
    few = "echo 'spotdeploy hard nproc 1' > /etc/security/limits.d/few.conf"
    yield _case("our user may have one process", PAYLOAD, few, _checked)
    shadows = f"for t in {SHADOWS}; do ln -s /bin/true /usr/local/bin/$t; done; {DRIFT}"
    yield _case("tools are shadowed, and a shipped file is changed", PAYLOAD, shadows, says="drift")
    dead = f"for t in {SHADOWS}; do ln -s /bin/true /usr/local/bin/$t; done"
    yield _case("tools are shadowed, and a service is dead", PAYLOAD, dead, _watched)


def _ssh() -> Iterator[Case]:
    key = (
        "ssh-keygen -q -t ed25519 -N '' -f /root/other; mv /root/other /etc/spotdeploy/host_key; "
        "systemctl restart ssh"
    )
    yield _case("gives itself another host key", PAYLOAD, key, says="host key")
    drop = "/etc/ssh/sshd_config.d/99-mine.conf; systemctl restart ssh"
    yield _case("lets root in and nobody else", PAYLOAD, f"echo 'AllowUsers root' > {drop}")
    yield _case("moves the ssh server to another port", PAYLOAD, f"echo 'Port 2222' > {drop}")
    stop = "systemctl mask --now ssh.socket ssh.service; pkill -9 sshd"
    rubbish = serving(22, "client.sendall(text * 4096)", bytes(range(256)))
    ends: Ends = frozenset({PAYLOAD, INFRASTRUCTURE})
    yield _case("speaks rubbish in the place of ssh", ends, f"{stop}; {rubbish}")
    silent = serving(22, "held.append(client)", b"", "held = []")
    yield _case("is silent in the place of ssh", ends, f"{stop}; {silent}")
    forged = (
        "for n in 1 2 3; do logger -t sshd 'Accepted publickey for root from 1.2.3.4 port 5 ssh2'; "
        "done"
    )
    yield _case("writes logins into the journal", PAYLOAD, forged, says="touched")
    flood = f"seq 100000 | logger -t sshd; {LOGIN}"
    yield _case("hides a login in a flood of the journal", PAYLOAD, flood, says="touched")


def _files() -> Iterator[Case]:
    at = "/opt/spotdeploy/payload"
    odd = f"touch {at}/\"$(printf 'a\\033[2Jb\\nc\\tPASSED')\""
    yield _case("names a file with escapes and a newline", PAYLOAD, odd, says="drift")
    many = f"mkdir {at}/m; cd {at}/m; seq 20000 | xargs touch"
    yield _case("puts 20,000 files into the payload", PAYLOAD, many, says="drift")
    deep = f"cd {at}; for n in $(seq 300); do mkdir deep && cd deep; done"
    yield _case("puts 300 folders into each other", PAYLOAD, deep, says="drift")
    away = f"mv {at} /opt/away; ln -s / {at}"
    yield _case("puts a link to / in the payload's place", PAYLOAD, away)
    pipe = f"rm {at}/entry.sh; mkfifo {at}/entry.sh"
    yield _case("puts a pipe in a shipped file's place", PAYLOAD, pipe, says="a pipe")


def _evidence() -> Iterator[Case]:
    log = "/opt/deployment.log"
    for name, script in {
        "without an end": f"ln -sf /dev/zero {log}; exit 1",
        "a pipe": f"rm {log}; mkfifo {log}; exit 1",
    }.items():
        yield _case(f"its log is {name}", PAYLOAD, script)
    strange = f"mkfifo /opt/pipe; mkdir /opt/folder; {DRIFT}"
    yield _case("evidence is asked of files that are none", PAYLOAD, strange, _asked_for_devices)


def serving(port: int, deed: str, text: bytes, first: str = "") -> str:
    """A script that leaves a server behind, which does this with each `client` and the `text`."""
    body = f"text = {text!r}\n{first}\n{SERVER.format(deed=deed)}"
    return (
        f"printf %s {shlex.quote(body)} > /opt/server.py; "
        f"systemd-run --quiet --unit=server python3 /opt/server.py {port}; "
        "while [ ! -e /run/serving ]; do sleep 0.1; done"
    )


def _case(
    fault: str,
    expect: Ends,
    script: str,
    prepare: Callable[[NodeTestbed], None] | None = None,
    *,
    quick: bool = False,
    says: str = "",
) -> Case:
    action = partial(play, script=script, prepare=prepare, reboot=False, says=says)
    return local_case(Family.HOSTILE, fault, expect, action, quick=quick)


def _asked(testbed: NodeTestbed) -> None:
    ask = {"type": "http", "port": 8000, "within": "3s", "timeout": "2s", "every": "500ms"}
    testbed.project.config["checks"] = [ask]


def _checked(testbed: NodeTestbed) -> None:
    testbed.check('echo heard; test "$(echo heard)" = heard', within="3s")


def _watched(testbed: NodeTestbed) -> None:
    testbed.project.config["checks"] = [{"type": "systemd", "units": ["dead"], "within": "2s"}]


def _asked_for_devices(testbed: NodeTestbed) -> None:
    files = ["/dev/zero", "/dev/random", "/proc/kmsg", "/opt/pipe", "/opt/folder", "/proc/self/mem"]
    testbed.project.config["evidence"] = {"collect": "always", "files": files}
