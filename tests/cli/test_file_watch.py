"""Waiting for a change of the config or the payload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.cli.file_watch import fingerprint, until_changed


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config with a payload."""
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "entry.sh").write_text("true\n")
    path = tmp_path / "spotdeploy.toml"
    path.write_text('deployment = "demo"\n[payload]\nentry = "entry.sh"\n')
    return path


def replace_config(config: Path) -> None:
    """As an editor does: write another file and rename it."""
    new = config.with_name("spotdeploy.toml~")
    new.write_text(config.read_text() + "# a remark\n")
    new.replace(config)


def change_payload(config: Path) -> None:
    (config.parent / "instance" / "entry.sh").write_text("false\n")


def add_deep_file(config: Path) -> None:
    deep = config.parent / "instance" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "new.txt").write_text("new")


def break_config(config: Path) -> None:
    config.write_text("this is no TOML")


def edit_goss_file(config: Path) -> None:
    (config.parent / "goss.yaml").write_text("port: {}\n")


def edit_test_file(config: Path) -> None:
    (config.parent / "tests" / "test_node.py").write_text("def test_it(host): assert host\n")


def add_conftest(config: Path) -> None:
    (config.parent / "tests" / "conftest.py").write_text("")


def lose_test_file(config: Path) -> None:
    (config.parent / "tests" / "test_node.py").unlink()


@pytest.mark.parametrize("change", [edit_goss_file, edit_test_file, add_conftest, lose_test_file])
async def test_a_change_of_a_file_that_a_check_reads_is_seen(
    config: Path, change: Callable[[Path], None]
) -> None:
    (config.parent / "tests").mkdir()
    (config.parent / "tests" / "test_node.py").write_text("def test_it(host): pass\n")
    (config.parent / "goss.yaml").write_text("file: {}\n")
    with config.open("a") as file:
        file.write('[[checks]]\ntype = "goss"\nfile = "goss.yaml"\n')
        file.write('[[checks]]\ntype = "testinfra"\nfiles = ["tests/test_node.py::test_it"]\n')
    await test_a_change_is_seen(config, change)


@pytest.mark.parametrize("change", [edit_test_file, add_conftest, lose_test_file])
async def test_a_change_of_a_file_that_must_pass_before_is_seen(
    config: Path, change: Callable[[Path], None]
) -> None:
    (config.parent / "tests").mkdir()
    (config.parent / "tests" / "test_node.py").write_text("def test_it(): pass\n")
    with config.open("a") as file:
        file.write('[before]\ncommands = ["pytest -q"]\nfiles = ["tests"]\n')
    await test_a_change_is_seen(config, change)


def test_what_python_leaves_beside_tests_is_no_change(config: Path) -> None:
    tests = config.parent / "tests"
    (tests / "__pycache__").mkdir(parents=True)
    with config.open("a") as file:
        file.write('[[checks]]\ntype = "testinfra"\nfiles = ["tests"]\n')
    before = fingerprint(config)
    (tests / "__pycache__" / "test_node.pyc").write_bytes(b"x")
    (tests / ".test_node.py.swp").write_bytes(b"x")
    assert fingerprint(config) == before
    (tests / "test_node.py").write_text("")
    assert fingerprint(config) != before


@pytest.mark.parametrize("change", [replace_config, change_payload, add_deep_file, break_config])
async def test_a_change_is_seen(config: Path, change: Callable[[Path], None]) -> None:
    before = fingerprint(config)
    ready = asyncio.Event()
    waiting = asyncio.ensure_future(until_changed(config, before, ready.set))
    await ready.wait()
    change(config)
    async with asyncio.timeout(20):
        assert await waiting != before


async def test_a_change_made_before_watching_began_is_seen_too(config: Path) -> None:
    before = fingerprint(config)
    change_payload(config)
    async with asyncio.timeout(20):
        assert await until_changed(config, before) == fingerprint(config)


def test_our_own_files_beside_the_config_are_no_change(config: Path) -> None:
    before = fingerprint(config)
    (config.parent / ".spotdeploy").mkdir()
    (config.parent / ".spotdeploy" / "journal.db").write_text("x")
    (config.parent / "notes.txt").write_text("x")
    assert fingerprint(config) == before


async def test_a_config_that_is_gone_is_waited_for(config: Path) -> None:
    text = config.read_text()
    config.unlink()
    before = fingerprint(config)
    ready = asyncio.Event()
    waiting = asyncio.ensure_future(until_changed(config, before, ready.set))
    await ready.wait()
    config.write_text(text)
    async with asyncio.timeout(20):
        assert await waiting != before
