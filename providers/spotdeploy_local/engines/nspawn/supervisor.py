"""The process that is one machine: it makes the machine's namespaces, runs systemd-nspawn in them
and starts it again at each reboot.

It is process 1 of a pid namespace, so when it dies, however it dies, the kernel ends the whole
machine with it: container, mounts and network. It runs under `python -I -S` with few imports, and
carries out a plan that `plan.py` made; it decides nothing itself. It writes `ok`, or what went
wrong, to the pipe named on its command line, and never needs its creator again.
"""

# pathlib would cost every machine milliseconds and megabytes.
# ruff: noqa: PTH102, PTH103, PTH105, PTH110, PTH112, PTH114, PTH115, PTH123, PTH211

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

from spotdeploy_local.engines.nspawn.places import (
    BINDS,
    DISK,
    HOME,
    NETWORK_NAMESPACE,
    PROC,
    USER_NAMESPACE,
)
from spotdeploy_local.linux import syscalls, users
from spotdeploy_local.machine_dir import locks
from spotdeploy_local.network import names

PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
"""What systemd-nspawn shows in a machine's /dev."""
REBOOT = 133
CONSOLE_BYTES = 512 * 1024
CONSOLE_SECONDS = 2.0
"""Seconds for the rest of the console's text to be written once the container has ended."""
CONNECT_SECONDS = 10.0
PORT_SECONDS = 3.0
"""How long the port of a destroyed machine may still exist."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdeploy_local.engines.nspawn.plan import Plan

_known: dict[str, object] = {}
_recording = threading.Lock()


def main() -> None:
    """`supervisor FOLDER PIPE`: become the machine of this folder."""
    folder, pipe = sys.argv[1], int(sys.argv[2])
    os.set_inheritable(pipe, False)
    os.chdir(folder)
    os.umask(0o022)
    with open("plan.json", encoding="utf-8") as file:
        plan = json.load(file)
    try:
        listeners, address = publish(plan)
        join_groups(plan["engine_groups"])
        syscalls.unshare(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNS)
        if os.fork():
            os._exit(0)
        if not locks.take("lock"):
            os._exit(0)
        machines = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        asked = listen_for_names(plan["switch"], plan["name_server"])
        prepare(plan)
        record(state="running", boots=1, published_address=address)
    except OSError as error:
        os.write(pipe, str(error).encode())
        sys.exit(1)
    with contextlib.suppress(BrokenPipeError):  # the creator is dead, the machine lives on
        os.write(pipe, b"ok")
    os.close(pipe)
    for listener in listeners:
        in_background(accept, listener, plan["address"])
    in_background(tell_names, asked, machines, plan["network"])
    if plan["lifetime"]:
        in_background(expire, plan["lifetime"])
    run(plan)


def publish(plan: Plan) -> tuple[list[socket.socket], str]:
    """Listen on the host for the machine's published ports, on the first of its addresses where
    all are free, else where most are. The console names the ports that are left out."""
    fewest, best = sys.maxsize, ""
    for address in plan["publish_addresses"]:
        listeners, taken = listen(address, plan["publish_ports"])
        if not taken:
            return listeners, address
        if len(taken) < fewest:
            fewest, best = len(taken), address
        for listener in listeners:
            listener.close()
    listeners, taken = listen(best, plan["publish_ports"])
    with open("console.log", "a", encoding="utf-8") as log:
        log.write(f"spotdeploy: ports {taken} are taken on this host and not offered there\n")
    return listeners, best


def listen(address: str, ports: list[int]) -> tuple[list[socket.socket], list[int]]:
    """The listeners, and the ports that something else listens on."""
    listeners, taken = [], []
    for port in ports:
        try:
            listeners.append(socket.create_server((address, port)))
        except OSError:
            taken.append(port)
    return listeners, taken


def listen_for_names(switch: str, address: str) -> socket.socket:
    """Be a name server in the switch's namespace, where this process stays until it has one of its
    own. The supervisors of a network share the port, and the kernel gives each query to one.
    Raises OSError."""
    namespace = os.open(switch, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(namespace, syscalls.CLONE_NEWNET)
    os.close(namespace)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind((address, names.PORT))
    return server


def tell_names(server: socket.socket, machines: int, network: str) -> None:
    """Answer whoever asks for a machine of the network by name."""
    while True:
        query, asker = server.recvfrom(names.QUERY_BYTES)
        with contextlib.suppress(OSError):  # the asker is gone, or the folder cannot be read
            if reply := names.answer(query, lambda: names.addresses(machines, network)):
                server.sendto(reply, asker)


def join_groups(groups: list[str]) -> None:
    """Move the caller into control groups."""
    for group in groups:
        with open(group, "w", encoding="ascii") as file:
            file.write("0")


def prepare(plan: Plan) -> None:
    """Everything the container needs before it starts. Raises OSError."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    first = plan["first_user"]
    os.makedirs(HOME, exist_ok=True)
    syscalls.mount("tmpfs", HOME, "tmpfs", data=f"mode=755,uid={first},gid={first}")
    user = join_namespaces(first)
    connect_to_switch(plan)
    run_ip([], plan["machine_commands"])
    for switch in mounts_below(plan["run_folder"]):
        syscalls.unmount(switch)
    mount_disk(plan["image"], user)
    if user is not None:
        mount_empty_proc(f"{plan['root']}/{PROC}")
    os.mkdir(BINDS)
    for number, (source, read_only) in enumerate(plan["binds"]):
        show_bind(source, f"{BINDS}/{number}", user, read_only=read_only)
    leave_host(plan["run_folder"])


def join_namespaces(first: int) -> int | None:
    """Give the machine its network namespace, and a user namespace unless its first user is the
    host's root: the container enters them by their files. Gives the latter's descriptor."""
    user = None
    if first:
        user, network = users.make(first)
        syscalls.setns(network, syscalls.CLONE_NEWNET)
        os.close(network)
        bind(f"/proc/self/fd/{user}", USER_NAMESPACE)
    else:
        syscalls.unshare(syscalls.CLONE_NEWNET)
    bind("/proc/self/ns/net", NETWORK_NAMESPACE)
    return user


def mount_disk(image: str, user: int | None) -> None:
    """Mount the machine's disk: an overlay on the image, whose files are shown as owned by the
    machine's users. What the machine writes is theirs on the host's disk too. The image stays
    locked until this process ends: a newer one does not replace it under the machine."""
    fcntl.flock(os.open(image, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
    lower = f"{HOME}/image"
    show_bind(image, lower, user, read_only=True)
    os.mkdir(DISK)
    options = f"lowerdir={lower},upperdir=upper,workdir=work"
    syscalls.mount("overlay", DISK, "overlay", data=options)
    syscalls.unmount(lower)


def mount_empty_proc(target: str) -> None:
    """Mount a /proc of a namespace whose only process has ended. In a user namespace the kernel
    mounts one only beside another, and newer systemd-nspawn (255, 257) has let go of this
    process's by then: mnt_already_visible() in
    https://github.com/torvalds/linux/blob/v6.12/fs/namespace.c"""
    os.makedirs(target, exist_ok=True)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWPID)
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            syscalls.mount("proc", target, "proc")
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(f"/proc cannot be mounted on {target}")
    syscalls.setns(own, syscalls.CLONE_NEWPID)
    os.close(own)


def show_bind(source: str, target: str, user: int | None, *, read_only: bool) -> None:
    """Mount a file or folder of the host a second time, its owners shown as the machine's users.
    In a user namespace none can take back that it is read-only."""
    make_target(source, target)
    if user is None:
        syscalls.mount(source, target, flags=syscalls.MS_BIND)
    else:
        syscalls.mount_shifted(source, target, user)
    if read_only:
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY
        syscalls.mount("none", target, flags=flags)


def leave_host(root: str) -> None:
    """Go on with the programs and the kernel's folders of this host alone, mounted on a folder that
    nobody needs here. systemd-nspawn only covers the root that it starts in, and root in a machine
    can take the cover away. The machine's own folder stays the current one. Python's files may be
    gone, so nothing more can be imported."""
    folder = os.open(".", os.O_PATH | os.O_CLOEXEC)
    syscalls.mount("tmpfs", root, "tmpfs", data="mode=755")
    for name in PROGRAMS:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            bind(f"/{name}", f"{root}/{name}")
    for name in ("proc", "sys"):
        bind(f"/{name}", f"{root}/{name}")
    os.makedirs(f"{root}/dev/net")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            bind(f"/dev/{name}", f"{root}/dev/{name}")
    os.makedirs(f"{root}{HOME}")
    syscalls.mount(HOME, f"{root}{HOME}", flags=syscalls.MS_MOVE)
    syscalls.change_root(root)
    os.fchdir(folder)
    os.close(folder)


def bind(source: str, target: str) -> None:
    """Show a file, or a folder with all that is mounted below, a second time."""
    make_target(source, target)
    syscalls.mount(source, target, flags=syscalls.MS_BIND | syscalls.MS_REC)


def make_target(source: str, target: str) -> None:
    """Make the empty folder or file on which `source` can be mounted."""
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT))


def connect_to_switch(plan: Plan) -> None:
    """Connect the machine to the switch. The port of a machine that had the address before stays
    until the kernel has cleaned up that one's namespace, which takes a moment on a busy host."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return run_ip(["nsenter", f"--net={plan['switch']}"], plan["port_commands"])
        except OSError as error:
            if "File exists" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def run_ip(prefix: list[str], commands: str) -> None:
    """Run an `ip -batch` text. Raises OSError with the output of ip."""
    with open("ip.batch", "w", encoding="ascii") as file:
        file.write(commands)
    with open("ip.log", "w+b") as log:
        pid = start([*prefix, "ip", "-batch", "ip.batch"], log.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        log.seek(0)
        if code != 0:
            raise OSError(f"ip failed: {log.read().decode(errors='replace').strip()}")


def mounts_below(folder: str) -> list[str]:
    """Mounts under a folder: copies of other networks' namespaces, which this one must let go."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        targets = [line.split(" ")[1] for line in file]
    return [target for target in targets if target.startswith(folder + "/")]


def run(plan: Plan) -> None:
    """Boot the container until it ends by something other than a reboot."""
    boots = 1
    while True:
        read, write = os.pipe()
        nspawn = start(plan["container"], write)
        os.close(write)
        console = in_background(keep_console, read)
        code = wait_for(nspawn)
        console.join(CONSOLE_SECONDS)
        if code != REBOOT:
            break
        boots += 1
        record(boots=boots)
    record(state="stopped", exit=code, ended_at=time.time())


def start(command: list[str], output: int) -> int:
    """Start a command with its output on a descriptor; gives its pid. Raises OSError."""
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
    )


def wait_for(pid: int) -> int:
    """Reap every child, as process 1 must, until this one ends; gives its exit code."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status)


def record(**facts: object) -> None:
    """Merge facts into the machine's state file, atomically."""
    with _recording:
        _known.update(facts)
        with open("state.json.part", "w", encoding="utf-8") as file:
            json.dump(_known, file)
        os.replace("state.json.part", "state.json")


def keep_console(source: int) -> None:
    """Append what the machine prints to console.log, keeping the last one or two half megabytes."""
    log = os.open("console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(log).st_size
    while data := os.read(source, 65536):
        if size + len(data) > CONSOLE_BYTES:
            os.close(log)
            os.replace("console.log", "console.log.1")
            log, size = os.open("console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 0
        with contextlib.suppress(OSError):  # a full disk must not stop the machine
            size += os.write(log, data)
    os.close(source)
    os.close(log)


def accept(listener: socket.socket, address: str) -> None:
    """Forward each connection to the same port of the machine."""
    port = listener.getsockname()[1]
    while True:
        client, _ = listener.accept()
        in_background(forward, client, address, port)


def forward(client: socket.socket, address: str, port: int) -> None:
    """Carry a connection until both sides have ended."""
    with client, socket.socket() as node:  # create_connection would import more
        node.settimeout(CONNECT_SECONDS)
        with contextlib.suppress(OSError):
            node.connect((address, port))
            node.settimeout(None)
            back = in_background(copy, node, client)
            copy(client, node)
            back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, then end the target's input; a broken connection is an end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def expire(seconds: float) -> None:
    """End the machine when its time to live is over."""
    time.sleep(seconds)
    record(state="stopped", expired=True, ended_at=time.time())
    os._exit(0)


def in_background(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
