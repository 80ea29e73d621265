"""Waiting for a change of the config or the payload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdeploy.watching import fingerprint, until_changed


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
