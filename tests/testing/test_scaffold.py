"""`spotdeploy plugins new`: a package that works, all of it or nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from spotdeploy.errors import ConfigError, RefusedError
from spotdeploy.scaffold.kinds import Kind
from spotdeploy.scaffold.writing import write

NAMES = [
    (Kind.PROVIDER, "acme", False),
    (Kind.CHECK, "acme", False),
    (Kind.PROVIDER, "test-cloud-2b", False),
    (Kind.PROVIDER, "test-cloud-2b", True),
]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120
    )


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(params=NAMES, ids=lambda param: f"{param[0]}-{param[1]}-{param[2]}")
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind, name, bare = request.param
    return write(name, kind, tmp_path, bare=bare)


def test_the_tests_of_a_new_plugin_are_green(written: Path) -> None:
    done = run(written, "-m", "pytest", "-q", "-p", "no:asyncio")
    assert done.returncode == 0, done.stdout
    assert " failed" not in done.stdout
    assert "warning" not in done.stdout


def test_a_new_plugin_is_clean_for_the_linter_and_the_type_checker(written: Path) -> None:
    for command in (("ruff", "check", "."), ("mypy", "--cache-dir", str(written / ".mypy"))):
        done = run(written, "-m", *command)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "bare"), [(Kind.PROVIDER, False), (Kind.CHECK, False), (Kind.PROVIDER, True)]
)
def test_a_new_plugin_is_formatted(kind: Kind, bare: bool, tmp_path: Path) -> None:
    done = run(write("acme", kind, tmp_path, bare=bare), "-m", "ruff", "format", "--diff", ".")
    assert done.returncode == 0, done.stdout


def test_nothing_of_the_template_is_left_in_the_files(written: Path) -> None:
    for path in written.rglob("*"):
        assert "PACKAGE" not in str(path)
        if path.is_file():
            text = path.read_text()
            assert not {"{{", "{%", "PACKAGE"} & set(text.split()), path


def test_a_bare_provider_is_small_and_keeps_the_contract(tmp_path: Path) -> None:
    folder = write("acme", Kind.PROVIDER, tmp_path, bare=True)
    modules = folder / "src" / "spotdeploy_acme"
    assert len((modules / "provider.py").read_text().splitlines()) <= 200
    assert len((modules / "contract.py").read_text().splitlines()) <= 110
    done = run(folder, "-m", "spotdeploy", "plugins", "test", "./")
    assert done.returncode == 0, done.stdout
    skipped = re.findall(r"^SKIPPED .*?: \d*:?\s*(.*)", done.stdout, re.MULTILINE)
    can = (
        "Supports",
        "besides nodes",
        "one by one",
        "no installed plugin",
        "Powers.remains",
        "Powers.reaches",
    )
    assert [why for why in skipped if not any(words in why for words in can)] == []


def test_a_check_has_nothing_to_leave_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--bare: a check"):
        write("acme", Kind.CHECK, tmp_path, bare=True)
    assert everything(tmp_path) == []


def test_the_ci_installs_the_plugin_and_runs_its_tests(written: Path) -> None:
    workflow = msgspec.yaml.decode((written / ".github/workflows/ci.yml").read_bytes())
    job = workflow["jobs"]["check"]
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one) for one in uses)
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert "'.[test]'" in runs[0]
    assert runs[-1] == "pytest"
    assert job["steps"][1]["with"]["python-version"] == "${{ matrix.python }}"


def test_the_entry_point_names_the_package_that_is_there(written: Path) -> None:
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    ((name, package),) = project["entry-points"]["spotdeploy"].items()
    assert project["name"] == written.name == f"spotdeploy-{name}"
    assert (written / "src" / package / "__init__.py").is_file()
    assert (written / "src" / package / "py.typed").is_file()


def test_the_folder_can_be_read_as_any_new_folder_can(written: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert written.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    "name", ["", "Acme", "a_b", "-a", "a-", "a--b", "1a", "a/b", "ä", "a" * 41, "a\n"]
)
def test_a_name_that_will_not_do_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        write(name, Kind.PROVIDER, tmp_path)
    assert error.value.message.startswith(f"{name!r} is no name for a plugin")
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aws", Kind.PROVIDER),
        ("checks", Kind.CHECK),
        ("libcloud", Kind.PROVIDER),
        ("http", Kind.CHECK),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'{name}'"):
        write(name, kind, tmp_path)
    assert everything(tmp_path) == []


def test_a_provider_may_be_called_as_a_check_is(tmp_path: Path) -> None:
    assert write("http", Kind.PROVIDER, tmp_path).is_dir()


def test_a_folder_that_is_there_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "spotdeploy-acme").mkdir()
    (tmp_path / "spotdeploy-acme" / "mine.txt").write_text("mine")
    with pytest.raises(RefusedError, match="spotdeploy-acme exists; nothing was written"):
        write("acme", Kind.CHECK, tmp_path)
    assert everything(tmp_path) == ["spotdeploy-acme", "spotdeploy-acme/mine.txt"]


def test_a_parent_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is not a folder"):
        write("acme", Kind.CHECK, tmp_path / "nowhere")


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path) -> None:
    script = (
        "import resource, sys; sys.dont_write_bytecode = True;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from spotdeploy.__main__ import main; main()"
    )
    done = run(tmp_path, "-c", script, "plugins", "new", "acme")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: cannot write to .: ")
    assert everything(tmp_path) == []


def test_the_command_says_what_it_wrote_and_what_to_do_next(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    command = ("-m", "spotdeploy", "plugins", "new", "acme", "--kind", "check", "--folder", "sub")
    done = run(tmp_path, *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "wrote sub/spotdeploy-acme"
    assert done.stdout.splitlines()[1].startswith("try: cd sub/spotdeploy-acme && ")
    assert (tmp_path / "sub" / "spotdeploy-acme" / "src" / "spotdeploy_acme" / "check.py").exists()


def test_the_command_shows_a_mistake_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "spotdeploy", "plugins", "new", "Acme")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith("error: 'Acme' is no name for a plugin")
