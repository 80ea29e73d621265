"""Where a new plugin's README says that spotdeploy is to be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spotdeploy.scaffold.source import Source, read


def test_a_release_needs_no_words() -> None:
    assert read(None) == Source("", anywhere=True)


@pytest.mark.parametrize(
    ("record", "arguments"),
    [
        (
            {
                "url": "https://example.org/tools.git",
                "vcs_info": {"vcs": "git", "commit_id": "4f0c"},
            },
            "git+https://example.org/tools.git@4f0c ",
        ),
        (
            {"url": "https://example.org/a%20b.whl?x=1&y=2", "archive_info": {}},
            "'https://example.org/a%20b.whl?x=1&y=2' ",
        ),
    ],
)
def test_what_is_on_a_network_can_be_had_anywhere(
    record: dict[str, object], arguments: str
) -> None:
    assert read(json.dumps(record)) == Source(arguments, anywhere=True)


def test_a_checkout_and_a_file_are_named_and_are_of_this_computer(tmp_path: Path) -> None:
    folder = tmp_path / "my tools"
    folder.mkdir()
    url = folder.as_uri()
    editable = json.dumps({"url": url, "dir_info": {"editable": True}})
    assert read(editable) == Source(f"-e '{folder}' ", anywhere=False)
    assert read(json.dumps({"url": url, "dir_info": {}})) == Source(f"'{folder}' ", anywhere=False)
    wheel = tmp_path / "spotdeploy-9-py3-none-any.whl"
    wheel.touch()
    record = json.dumps({"url": wheel.as_uri(), "archive_info": {"hash": "sha256=0"}})
    assert read(record) == Source(f"{wheel} ", anywhere=False)


def test_a_file_that_is_gone_is_no_help(tmp_path: Path) -> None:
    record = json.dumps({"url": (tmp_path / "gone.whl").as_uri(), "archive_info": {}})
    assert read(record) == Source("", anywhere=True)
