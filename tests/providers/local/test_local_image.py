"""The image cache: built once, rebuilt when broken, and clear when it cannot be built."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from spotdeploy.errors import HostError
from spotdeploy_local.image import build, recipe
from spotdeploy_local.image.build import (
    apt_sources,
    customize,
    mmdebstrap_command,
    source_lines,
)
from spotdeploy_local.image.cache import Images
from spotdeploy_local.image.recipe import Recipe
from spotdeploy_local.layout import CACHE_VARIABLE
from spotdeploy_local.linux import syscalls
from tests.cycles.project import eventually

REPOSITORY = Path(__file__).parents[3]
RECIPE = Recipe(packages=("systemd",), files={"/etc/ours": "text\n"}, masked=("getty.target",))
BUILD = """
mkdir -p "$1/usr/bin" "$1/etc/ssh"
echo program > "$1/usr/bin/program"
echo secret > "$1/etc/ssh/ssh_host_rsa_key"
echo built >> "$2"
echo "I: fetching packages"
"""


def builder(script: str, log: Path) -> Images:
    """Images whose build command is a shell script: `$1` is the tree, `$2` a file to write to."""

    def command(what: Recipe, tree: Path, base: Path | None) -> list[str]:
        return ["sh", "-ec", script, "sh", str(tree), str(log), what.digest, str(base)]

    return Images(log.parent / "cache", command, needed_bytes=0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def images(log: Path) -> Images:
    return builder(BUILD, log)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    syscalls.mount("tmpfs", str(folder), "tmpfs", data="size=1m")
    yield folder
    syscalls.unmount(str(folder))


def test_an_image_is_built_once_and_reports_its_progress(images: Images, log: Path) -> None:
    reported: list[str] = []
    tree = images.build(RECIPE, reported.append)
    assert images.build(RECIPE, reported.append) == tree
    assert log.read_text() == "built\n"
    assert "building the image: fetching packages" in reported
    assert reported[-1] == "the image is ready"


def test_our_files_are_in_the_image_and_its_host_keys_are_not(images: Images) -> None:
    tree = images.build(RECIPE, print)
    assert (tree / "etc/ours").read_text() == "text\n"
    assert (tree / "etc/systemd/system/getty.target").readlink() == Path("/dev/null")
    assert list((tree / "etc/ssh").iterdir()) == []
    assert (tree / "etc/machine-id").read_text() == ""


def test_an_image_that_lost_a_file_is_rebuilt(images: Images, log: Path) -> None:
    tree = images.build(RECIPE, print)
    (tree / "usr/bin/program").unlink()
    assert not images.is_complete(RECIPE)
    images.build(RECIPE, print)
    assert (tree / "usr/bin/program").exists()
    assert log.read_text() == "built\nbuilt\n"


def test_only_root_gets_at_the_programs_of_an_image(images: Images) -> None:
    tree = images.build(RECIPE, print)
    assert images.folder.stat().st_mode & 0o777 == 0o700
    assert tree.parent.stat().st_mode & 0o777 == 0o700
    tree.parent.chmod(0o755)  # as it was once made
    images.renew(RECIPE, print)
    assert tree.parent.stat().st_mode & 0o777 == 0o700


def test_an_old_image_is_renewed_and_a_young_one_is_not(images: Images, log: Path) -> None:
    reported: list[str] = []
    tree = images.build(RECIPE, reported.append)
    grow_old(tree, 29)
    images.renew(RECIPE, reported.append)
    assert log.read_text() == "built\n"
    grow_old(tree, 31)
    assert images.renew(RECIPE, reported.append) == tree
    assert log.read_text() == "built\nbuilt\n"
    assert "the image is 31 days old" in reported
    images.renew(RECIPE, reported.append)
    assert log.read_text() == "built\nbuilt\n"
    assert [one.name for one in images.folder.glob("root-*")] == [tree.parent.name]


def test_an_image_upon_an_old_one_is_built_upon_a_new_one(images: Images, log: Path) -> None:
    above = replace(RECIPE, packages=("cloud-init",), base=RECIPE)
    grow_old(images.build(above, print), 40)
    grow_old(images.tree(RECIPE), 40)
    images.renew(above, print)
    assert log.read_text() == "built\n" * 4


def test_a_machine_keeps_the_old_image_that_it_runs_on(images: Images, log: Path) -> None:
    tree = images.build(RECIPE, print)
    machine = os.open(tree.parent, os.O_RDONLY)
    fcntl.flock(machine, fcntl.LOCK_SH)
    program = os.open(tree / "usr/bin/program", os.O_RDONLY)
    for _ in range(2):
        grow_old(tree, 31)
        images.renew(RECIPE, print)
    assert log.read_text() == "built\n" * 3
    assert os.fstat(program).st_nlink == 1
    os.close(machine)
    grow_old(tree, 31)
    images.renew(RECIPE, print)
    assert os.fstat(program).st_nlink == 0
    os.close(program)
    assert [one.name for one in images.folder.glob("root-*")] == [tree.parent.name]


def test_an_old_image_that_cannot_be_renewed_is_used_on(images: Images, log: Path) -> None:
    tree = images.build(RECIPE, print)
    grow_old(tree, 31)
    reported: list[str] = []
    assert builder("exit 9", log).renew(RECIPE, reported.append) == tree
    assert "without security updates: the image could not be built" in reported[-1]
    assert (tree / "usr/bin/program").exists()


def grow_old(tree: Path, days: float) -> None:
    moment = time.time() - days * 86400
    os.utime(tree.parent / "stamp.json", (moment, moment))


@pytest.mark.parametrize("stamp", ["", "[]", "{", "{}", '{"recipe": "another"}'])
def test_an_image_with_a_damaged_stamp_is_rebuilt(images: Images, log: Path, stamp: str) -> None:
    tree = images.build(RECIPE, print)
    (tree.parent / "stamp.json").write_text(stamp)
    images.build(RECIPE, print)
    assert log.read_text() == "built\nbuilt\n"
    assert json.loads((tree.parent / "stamp.json").read_text())["recipe"] == RECIPE.digest


def test_what_an_interrupted_build_left_is_thrown_away(log: Path) -> None:
    with pytest.raises(HostError):
        builder('mkdir -p "$1"; touch "$1/half"; exit 9', log).build(RECIPE, print)
    tree = builder(BUILD, log).build(RECIPE, print)
    assert not (tree / "half").exists()
    assert [one.name for one in log.parent.glob("cache/*.part")] == []


KILLED = """
import sys
from pathlib import Path
from tests.providers.local.test_local_image import RECIPE, builder
builder(sys.argv[1], Path(sys.argv[2])).build(RECIPE, print)
"""
BUSY = """
mkdir -p "$1"; mount -t tmpfs tmpfs "$1"
(while :; do mkdir -p "$1/a/b"; touch "$1/a/b/file"; done) & echo $1 > "$2"; wait
"""


def test_a_builder_dies_with_its_parent_and_the_next_build_meets_nothing_of_it(log: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", KILLED, BUSY, str(log)], cwd=REPOSITORY)
    eventually(log.exists, "the build is under way")
    killed.kill()
    killed.wait()
    (tree,) = log.read_text().split()
    log.unlink()
    made = builder(BUILD, log).build(RECIPE, print)
    assert (made / "usr/bin/program").exists()
    eventually(lambda: not _running(tree), "the builder is dead")
    assert tree not in Path("/proc/self/mountinfo").read_text()
    (made.parent / "stamp.json").unlink()
    builder(BUILD, log).build(RECIPE, print)  # takes away what was still being written
    assert [one.name for one in log.parent.glob("cache/*.part")] == []


def _running(word: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in file.read_bytes().split(b"\0"):
                found.append(file.parent.name)
    return found


def test_two_builders_at_once_build_one_image(images: Images, log: Path) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: images.build(RECIPE, print), range(4)))
    assert log.read_text() == "built\n"


def test_an_image_upon_another_builds_both(images: Images, log: Path) -> None:
    above = replace(RECIPE, packages=("cloud-init",), base=RECIPE)
    images.build(above, print)
    assert images.is_complete(RECIPE)
    assert images.tree(above) != images.tree(RECIPE)
    assert log.read_text() == "built\nbuilt\n"


def test_a_failed_build_shows_the_last_lines_of_the_tool(log: Path) -> None:
    noise = 'seq 1 100; echo "E: Unable to fetch some archives" >&2; exit 25'
    with pytest.raises(HostError, match="sh ended with code 25") as caught:
        builder(noise, log).build(RECIPE, print)
    lines = caught.value.message.splitlines()
    assert lines[-1] == "  E: Unable to fetch some archives"
    assert len(lines) == 16
    assert caught.value.hint == "apt-get update"


def test_a_disk_that_fills_up_during_the_build_is_named(small_disk: Path, log: Path) -> None:
    fill = 'mkdir -p "$1"; dd if=/dev/zero of="$1/big" bs=64k'
    images = replace(builder(fill, log), folder=small_disk / "cache")
    with pytest.raises(HostError, match="the disk is full: sh failed with"):
        images.build(RECIPE, print)
    assert not images.is_complete(RECIPE)


def test_a_disk_too_small_for_an_image_is_refused_before_the_build(
    small_disk: Path, log: Path
) -> None:
    images = replace(builder(BUILD, log), folder=small_disk / "cache", needed_bytes=700 << 20)
    with pytest.raises(HostError, match=r"has . MiB free, an image needs 700 MiB") as caught:
        images.build(RECIPE, print)
    assert CACHE_VARIABLE in str(caught.value.hint)
    assert not log.exists()


def test_every_change_of_a_recipe_makes_another_image() -> None:
    changed = [
        replace(RECIPE, packages=("systemd", "dbus")),
        replace(RECIPE, files={"/etc/ours": "other\n"}),
        replace(RECIPE, masked=()),
        replace(RECIPE, base=recipe.BASE),
    ]
    assert len({one.digest for one in (RECIPE, *changed)}) == 5


def test_the_host_s_own_sources_are_handed_on_and_nobody_else_s() -> None:
    targets = (
        "http://mirror/debian/|bookworm|bookworm|main|Debian\n"
        "http://mirror/debian/|bookworm|bookworm|contrib|Debian\n"
        "http://mirror/debian/|bookworm|bookworm|main|Debian\n"
        "http://mirror/security/|bookworm-security|bookworm-security|main|Debian\n"
        "http://mirror/debian/|sid|sid|main|Debian\n"
        "http://elsewhere/|nodistro|nodistro|main|. nodistro\n"
    )
    assert source_lines(targets, "debian", "bookworm") == (
        "deb http://mirror/debian/ bookworm main contrib\n"
        "deb http://mirror/security/ bookworm-security main\n"
    )


def test_the_real_build_command_names_every_package_and_source() -> None:
    options = ['Acquire::http::Proxy "http://proxy:3142";']
    sources = "deb http://mirror/ bookworm main\ndeb http://mirror/s x main\n"
    tree = Path("/cache/tree")
    command = mmdebstrap_command(RECIPE, tree, None, "bookworm", sources, options)
    assert command[:4] == ["mmdebstrap", "--mode=root", "--include=systemd", "--variant=apt"]
    assert f"--aptopt={options[0]}" in command
    assert command[-4:] == ["bookworm", "/cache/tree", *sources.splitlines()]


def test_an_image_upon_another_is_installed_into_a_copy() -> None:
    command = mmdebstrap_command(
        RECIPE, Path("/t"), Path("/the base"), "bookworm", "deb http://mirror/ bookworm main", []
    )
    assert """--setup-hook=cp -a '/the base'/. "$1"/""" in command
    assert '--customize-hook=chroot "$1" apt-get install --yes systemd' in command


def test_customizing_twice_changes_nothing_more(tmp_path: Path) -> None:
    enabled = replace(recipe.BASE, packages=())
    for _ in range(2):
        (tmp_path / "etc").mkdir(exist_ok=True)
        customize(enabled, tmp_path)
    script = tmp_path / "usr/lib/spotdeploy/user-data"
    assert script.stat().st_mode & 0o777 == 0o755
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert [unit.name for unit in wants.iterdir()] == ["spotdeploy-user-data.service"]


def test_an_image_of_the_host_s_distribution_comes_from_the_host_s_mirrors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    targets = (
        "http://mirror/debian|stable|trixie|main|Debian\nhttp://mirror/debian|s|trixie-u|c|Debian"
    )
    release = {"ID": "debian", "VERSION_CODENAME": "trixie"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    monkeypatch.setattr(build, "_output", lambda _: targets.replace("stable", "trixie"))
    codename, sources = apt_sources("debian-12")
    assert (codename, sources.splitlines()[0]) == (
        "bookworm",
        "deb http://mirror/debian bookworm main",
    )


def test_an_image_of_another_distribution_needs_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian"})
    with pytest.raises(HostError, match="needs the archive keys of ubuntu") as refused:
        build._require_keys("ubuntu-24.04", "ubuntu", tmp_path)
    assert "install ubuntu-keyring (in Debian from 13 on)" in (refused.value.hint or "")
    (tmp_path / "ubuntu-archive-keyring.gpg").touch()
    build._require_keys("ubuntu-24.04", "ubuntu", tmp_path)
