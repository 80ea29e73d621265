"""The controller runs where Python does: the core and the clouds' providers make no call and read
no file that only Linux has. This stands in for macOS, on which nobody has tried it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PREAMBLE = r"""
import importlib, sys

TAKEN = {
    "os": (
        "copy_file_range eventfd eventfd_read eventfd_write fallocate getrandom memfd_create "
        "pidfd_open posix_fadvise posix_fallocate sched_getaffinity sched_setaffinity setns "
        "splice unshare getxattr setxattr listxattr removexattr setresuid setresgid getresuid "
        "getresgid O_PATH O_TMPFILE O_DIRECT O_NOATIME"
    ),
    "select": "epoll EPOLLIN EPOLLOUT",
    "signal": "sigtimedwait sigwaitinfo SIGPWR SIGSTKFLT SIGPOLL pidfd_send_signal",
    "fcntl": "F_ADD_SEALS F_GET_SEALS F_GETPIPE_SZ F_SETPIPE_SZ F_NOTIFY F_OFD_SETLK",
    "socket": "AF_NETLINK AF_PACKET AF_VSOCK SO_BINDTODEVICE SO_PEERCRED",
}
assert not {"selectors", "asyncio", "subprocess"} & set(sys.modules), "taken away too late"
for module, names in TAKEN.items():
    found = importlib.import_module(module)
    for name in names.split():
        if hasattr(found, name):
            delattr(found, name)

def no_linux(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and arguments:
        path = arguments[0]
        if isinstance(path, str) and path.startswith(("/proc", "/sys/")):
            print("opened", path, file=sys.stderr)
            raise FileNotFoundError(2, "this computer is no Linux", path)

sys.addaudithook(no_linux)
"""

IMPORT_ALL = r"""
import importlib, pkgutil

PACKAGES = ("spotdeploy", "spotdeploy_aws", "spotdeploy_azure", "spotdeploy_gcp",
            "spotdeploy_libcloud", "spotdeploy_checks")
names = [
    found.name
    for package in map(importlib.import_module, PACKAGES)
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not found.name.endswith("__main__")
]
for name in names:
    importlib.import_module(name)
print(len(names))
"""

RUN = r"""
from spotdeploy.__main__ import main
main()
"""

CONFIG = """\
deployment = "portable"
providers = ["fake"]
[nodes]
count = 2
[payload]
entry = "entry.sh"
[timeouts]
boot = "1s"
"""


def python(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_module_of_the_core_and_the_clouds_is_imported_without_linux(tmp_path: Path) -> None:
    done = python(IMPORT_ALL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
    assert "opened" not in done.stderr


def test_a_run_from_plan_to_destroy_makes_no_call_that_only_linux_has(tmp_path: Path) -> None:
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    assert python(RUN, tmp_path, "plan").returncode == 0
    cycle = python(RUN, tmp_path, "cycle")
    assert cycle.returncode == 3, cycle
    assert "2 of 2 nodes" in cycle.stdout, cycle
    assert "2 nodes gone" in cycle.stdout, cycle
    assert "proven by 2 listings" in cycle.stdout, cycle
    for command in ("list", "history", "report", "destroy"):
        done = python(RUN, tmp_path, command)
        assert done.returncode == 0, done
        assert "Traceback" not in done.stderr
    assert "opened" not in cycle.stderr
