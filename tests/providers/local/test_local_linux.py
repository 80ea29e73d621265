"""What this host has, read from the kernel's own texts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spotdeploy.errors import HostError
from spotdeploy_local.linux import cgroups, host

HYBRID = """\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 / /mnt/again rw,relatime - cgroup2 cgroup2 rw
22 27 0:21 / /proc rw,relatime - proc proc rw
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_each_mounted_hierarchy_is_used_once() -> None:
    found = cgroups.hierarchies(HYBRID)
    assert [(tree.root.name, tree.unified) for tree in found] == [
        ("cpu", False),
        ("systemd", False),
        ("unified", True),
    ]
    assert [tree.controls for tree in found] == [True, False, True]
    assert cgroups.hierarchies(UNIFIED) == (
        cgroups.Hierarchy(Path("/sys/fs/cgroup"), unified=True),
    )


def test_only_version_2_puts_supervisor_and_container_into_leaves_of_their_own() -> None:
    groups = cgroups.Groups("ours", cgroups.hierarchies(HYBRID))
    assert groups.procs_files("one", "node") == [
        "/sys/fs/cgroup/cpu/ours/one/cgroup.procs",
        "/sys/fs/cgroup/systemd/ours/one/cgroup.procs",
        "/sys/fs/cgroup/unified/ours/one/node/cgroup.procs",
    ]


def test_a_machine_s_user_may_make_groups_but_not_where_version_1_has_a_controller(
    tmp_path: Path,
) -> None:
    trees = [("cpu", False, True), ("systemd", False, False), ("unified", True, True)]
    groups = cgroups.Groups("ours", tuple(cgroups.Hierarchy(tmp_path / n, *m) for n, *m in trees))
    for name, *_ in trees:
        (tmp_path / name).mkdir()
    groups.create("one", 777)
    owned = {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.stat().st_uid == 777}
    assert owned == {"systemd/ours/one", "unified/ours/one/node"}


def test_groups_are_open_to_a_machine_s_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        cgroups.Groups("ours", (cgroups.Hierarchy(tmp_path, unified=True),)).create("one", 777)
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path.name for path in made} == {"ours", "one", "engine", "node"}
    assert {path.stat().st_mode & 0o777 for path in made} == {0o755}


def test_a_missing_tool_is_named_with_the_line_that_installs_it() -> None:
    (problem,) = host.missing_tools(lambda tool: None if tool == "mmdebstrap" else f"/bin/{tool}")
    assert problem.what == "missing on this host: mmdebstrap"
    assert problem.remedy == (
        "apt-get install --no-install-recommends systemd-container mmdebstrap iproute2"
    )


def test_what_opens_ports_between_nodes_is_named_with_the_line_that_installs_it() -> None:
    (problem,) = host.missing_filter(lambda tool: None)
    assert problem.what.startswith("nft, which opens ports between nodes, is missing")
    assert problem.remedy == "apt-get install --no-install-recommends nftables"
    assert host.missing_filter(lambda tool: f"/sbin/{tool}") == []


@pytest.mark.parametrize(
    ("uid", "capabilities", "message"),
    [(1000, "000001ffffffffff", "root is needed"), (0, "00000000a80425fb", "CAP_SYS_ADMIN")],
)
def test_missing_rights_are_named(uid: int, capabilities: str, message: str) -> None:
    (problem,) = host.missing_rights(uid, f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert message in problem.what
    assert host.missing_rights(0, "CapEff:\t000001ffffffffff\n") == []


def test_an_overlay_file_system_is_no_place_for_machines(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    line = f"27 1 {os.major(device)}:{os.minor(device)} / / rw - {{}} /dev/x rw\n"
    (problem,) = host.unfit_disk(tmp_path / "state", line.format("overlay"))
    assert "cannot hold machines" in problem.what
    assert host.unfit_disk(tmp_path / "state", line.format("ext4")) == []


def test_a_low_limit_is_raised_and_a_high_one_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "max_user_instances"
    for before, after in (("128\n", "8192"), ("9000\n", "9000\n")):
        file.write_text(before)
        host.raise_limit(file)
        assert file.read_text() == after
        assert host.low_limit(file) == []


def test_only_a_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"the disk under {tmp_path} is full"):
        _fail(tmp_path, OSError(28, "No space left on device"))
    with pytest.raises(FileNotFoundError):
        _fail(tmp_path, FileNotFoundError(2, "No such file"))


def _fail(folder: Path, error: OSError) -> None:
    with host.explain_full_disk(folder, "VARIABLE"):
        raise error
