"""`spotdeploy prune` removes images that no node uses and that the config does not need."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from spotdeploy_local.image.recipe import recipe_of
from tests.command import run

CONFIG = """
deployment = "demo"
providers = ["local"]
[provider.local]
engine = "nspawn"
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def image(cache: Path, name: str) -> Path:
    """A folder as an image is, of a megabyte."""
    tree = cache / name / "tree"
    tree.mkdir(parents=True)
    (tree / "file").write_bytes(os.urandom(1_000_000))
    (tree / "same-file").hardlink_to(tree / "file")
    return tree.parent


def name_of(release: str, *, cloud_init: bool = False) -> str:
    return f"root-{recipe_of(release, cloud_init=cloud_init).digest}"


def prune(cache: Path, *arguments: str, config: str = CONFIG) -> subprocess.CompletedProcess[str]:
    (cache.parent / "spotdeploy.toml").write_text(config)
    places = {"SPOTDEPLOY_LOCAL_CACHE": str(cache), "SPOTDEPLOY_LOCAL_STATE": f"{cache}-state"}
    return run(cache.parent, "prune", *arguments, environment=os.environ | places)


def left(cache: Path) -> set[str]:
    return {folder.name for folder in cache.glob("root-*")}


def test_what_the_config_needs_stays_unless_all_is_said(cache: Path) -> None:
    needed, other = name_of("debian-12"), "root-0123456789ab"
    for name in (needed, other, f"{other}.0a0b0c0d.part"):
        image(cache, name)
    told = prune(cache, "--dry-run")
    assert (told.returncode, told.stderr) == (0, "")
    assert f"image {other}" in told.stdout
    assert needed not in told.stdout
    assert "1 would be removed, 2 MB" in told.stdout
    assert len(left(cache)) == 3
    done = prune(cache)
    assert "1 removed, 2 MB" in done.stdout
    assert "1 unused but needed by this config; spotdeploy prune --all" in done.stdout
    assert left(cache) == {needed}
    assert "1 removed, 1 MB" in prune(cache, "--all").stdout
    assert left(cache) == set()
    assert prune(cache, "--all").stdout == "0 removed, 0 MB\n"


def test_every_group_s_image_and_what_it_is_built_upon_are_needed(cache: Path) -> None:
    names = {name_of("debian-13"), name_of("debian-13", cloud_init=True), name_of("debian-12")}
    for name in (*names, "root-0123456789ab"):
        image(cache, name)
    groups = """cloud_init = true
[groups.old]
image = "debian-12"
[groups.new]
image = "debian-13"
"""
    assert prune(cache, config=CONFIG + groups).returncode == 0
    assert left(cache) == names


def test_an_image_that_a_machine_runs_on_stays(cache: Path) -> None:
    used = os.open(image(cache, "root-0123456789ab"), os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_SH)
    assert prune(cache, "--all").stdout == "0 removed, 0 MB\n"
    os.close(used)
    shown = json.loads(prune(cache, "--all", "--json").stdout)
    assert [one["thing"]["id"] for one in shown["removed"]] == ["root-0123456789ab"]
    assert 1_000_000 <= shown["bytes"] < 1_100_000
    assert (shown["kept"], left(cache)) == (0, set())


def test_a_provider_that_keeps_nothing_is_asked_for_nothing(cache: Path) -> None:
    config = 'deployment = "demo"\nproviders = ["fake"]\n'
    assert prune(cache, config=config).stdout == "0 removed, 0 MB\n"
    image(cache, "root-0123456789ab")
    assert "1 removed" in prune(cache, "--provider", "local", config=config).stdout
