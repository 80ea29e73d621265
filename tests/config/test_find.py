"""The config that is meant in a folder below it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spotdeploy.config.find import find_config
from spotdeploy.errors import RefusedError


def config(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spotdeploy.toml"
    path.write_text('deployment = "a"\n')
    return path


@pytest.fixture
def below(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "shop" / "instance" / "scripts"
    folder.mkdir(parents=True)
    return folder


def find(start: Path) -> Path | None:
    return find_config(start, start.parents[2])


def test_the_nearest_one_is_found_in_a_repository(below: Path) -> None:
    (below.parents[1] / ".git").mkdir()
    above = config(below.parents[1])
    assert find(below) == above
    nearer = config(below.parent)
    assert find(below) == nearer
    own = config(below)
    assert find(below) == own


def test_a_repository_ends_the_search(below: Path) -> None:
    config(below.parents[1])
    (below / ".git").write_text("gitdir: elsewhere\n")
    assert find(below) is None


def test_without_a_repository_the_home_folder_ends_it(below: Path) -> None:
    config(below.parents[2])
    assert find(below) is None
    above = config(below.parents[1])
    assert find(below) == above
    assert find_config(below, below / "elsewhere") is None


def test_one_of_somebody_else_is_refused_and_named(below: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    (below.parents[1] / ".git").mkdir()
    path = config(below.parents[1])
    os.chown(path, 12345, -1)
    with pytest.raises(RefusedError, match="belongs to somebody else") as caught:
        find(below)
    assert caught.value.hint == f"see what it says, and name it: --config {path}"
    os.chown(path, 0, -1)
    os.chown(path.parent, 12345, -1)
    with pytest.raises(RefusedError, match=r"shop belongs to somebody else"):
        find(below)
    os.chown(path.parent, 0, -1)
    assert find(below) == path


def test_with_sudo_those_of_the_caller_are_the_users_own(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = config(below.parents[1])
    for one in (path, path.parent):
        os.chown(one, 12345, -1)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert find(below) == path


@pytest.mark.parametrize("what", ["folder", "file"])
def test_one_that_everybody_can_write_is_refused(below: Path, what: str) -> None:
    path = config(below.parents[1])
    (path if what == "file" else path.parent).chmod(0o777)
    with pytest.raises(RefusedError, match="can be written by everybody"):
        find(below)


def test_a_link_is_refused_even_one_that_leads_nowhere(below: Path) -> None:
    (below.parents[1] / "spotdeploy.toml").symlink_to("nowhere")
    with pytest.raises(RefusedError, match="is a link"):
        find(below)
