"""What is left out of a payload."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdeploy.errors import ConfigError
from spotdeploy.payload.ignore import FILE
from spotdeploy.payload.manifest import build_manifest
from tests.properties.effort import FEW

FILES = [
    "a.log",
    "keep.log",
    "src/a.log",
    "src/main.py",
    "build/out",
    "src/build/out",
    "data/raw/x.csv",
    "data/readme",
    "node_modules/x/index.js",
]


def plant(root: Path) -> None:
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def shipped(root: Path, project: Path | None = None) -> set[str]:
    return {e.path.removeprefix("payload/") for e in build_manifest(root, project=project).files}


PATTERNS = st.lists(
    st.sampled_from(
        [
            *("*.log", "!keep.log", "build/", "/build/", "data/*", "!data/raw", "**/out"),
            *("src/*.log", "# a comment", "", "node_modules", "/data/raw/", "[a-k]*.log"),
            *("src/**", "!src/main.py", "a.lo?", "\\!x", "data/**/x.csv"),
        ]
    ),
    max_size=5,
)


@FEW
@given(top=PATTERNS, below=PATTERNS)
def test_what_is_left_out_is_what_git_leaves_out(
    tmp_path_factory: pytest.TempPathFactory, top: list[str], below: list[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    plant(root)
    for folder, lines in ((root, top), (root / "src", below)):
        for name in (FILE, ".gitignore"):
            (folder / name).write_text("\n".join(lines) + "\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    line = ["git", "ls-files", "--others", "--exclude-standard"]
    done = subprocess.run(line, cwd=root, check=True, capture_output=True, text=True)
    ours = {path for path in shipped(root) if not path.endswith(".gitignore")}
    assert ours == set(done.stdout.split()) & set(FILES)


def test_the_project_has_a_say_in_what_lies_below_it(tmp_path: Path) -> None:
    root = tmp_path / "deploy/instance"
    plant(root)
    (tmp_path / FILE).write_text("node_modules/\n/deploy/instance/data\n*.log\n")
    (root / FILE).write_text("!keep.log\n")
    assert shipped(root, tmp_path) == {"keep.log", "src/main.py", "build/out", "src/build/out"}
    assert "src/a.log" in shipped(root), "only the project's folder and what is below it counts"


def test_spotdeploys_and_gits_own_files_are_left_out_at_any_depth_and_litter_by_default(
    tmp_path: Path,
) -> None:
    for name in (".git/config", "sub/.git", ".spotdeploy/journal.db", "sub/x/.spotdeploy/key"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub/__pycache__").mkdir()
    (tmp_path / "sub/__pycache__/a.pyc").touch()
    assert shipped(tmp_path) == set()
    (tmp_path / FILE).write_text("!.git\n!.spotdeploy\n!__pycache__/\n")
    assert shipped(tmp_path) == {"sub/__pycache__/a.pyc"}


def test_what_is_left_out_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "odd\nname").touch()
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / FILE).write_text("odd*\nout\n")
    assert build_manifest(tmp_path).entries == ()


def test_a_pattern_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("*.log\n\\\n")
    with pytest.raises(ConfigError, match=r"\.spotdeployignore, line 2: .* is no pattern"):
        build_manifest(tmp_path)
