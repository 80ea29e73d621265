"""The engine's lock: its owner's alone, and never waited for without end."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from spotdeploy.errors import HostError
from spotdeploy_local.linux.hostlock import held, holders


def test_a_lock_is_its_owners_alone_also_one_of_an_older_version(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch(mode=0o644)
    with held(lock):
        assert lock.stat().st_mode & 0o777 == 0o600
    with held(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_process_that_holds_it_is_named_after_a_while(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    words = ["flock", str(lock), "sh", "-c", "echo locked; exec sleep 30"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(HostError, match="is locked by process") as caught, held(lock, 0.3):
            pytest.fail("two processes hold one lock")
        assert str(process.pid) in caught.value.message
        process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_user_cannot_take_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    lock = tmp_path / "lock"
    with held(lock):
        pass
    words = ["setpriv", "--reuid=65534", "--clear-groups", "flock", "-n", str(lock), "true"]
    assert subprocess.run(words, capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    os.chown(lock, 65534, -1)
    with pytest.raises(HostError, match="belongs to user 65534"), held(lock):
        pytest.fail("it was taken")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot lock"), held(tmp_path / "lock"):
        pytest.fail("it was followed")
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_waited_for_between_threads_and_free_after_an_error(tmp_path: Path) -> None:
    lock, order = tmp_path / "lock", []

    def second() -> None:
        with held(lock):
            order.append("second")

    thread = threading.Thread(target=second)

    def first() -> None:
        with held(lock):
            thread.start()
            order.append("first")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first()
    thread.join(10)
    assert order == ["first", "second"]


def test_holders_are_those_of_the_file(tmp_path: Path) -> None:
    lock, other = tmp_path / "lock", tmp_path / "other"
    lock.touch()
    with other.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert (holders(lock), holders(other)) == ([], [os.getpid()])
