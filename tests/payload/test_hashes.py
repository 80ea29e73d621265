"""Files that did not change are not read again."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotdeploy.model import Manifest
from spotdeploy.payload.hashes import RACY_NS, Digests, read_parts
from spotdeploy.payload.manifest import build_manifest

OLD_SECONDS = RACY_NS / 1e9 + 3


class Reads:
    """The files below a folder that this process opens, as the interpreter itself tells it."""

    def __init__(self) -> None:
        self.below = ""
        self.opened: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and self.below and str(arguments[0]).startswith(self.below):
            self.opened.append(Path(str(arguments[0])).name)

    def take(self) -> list[str]:
        """Those since the last time, sorted."""
        taken, self.opened = sorted(self.opened), []
        return taken


READS = Reads()


@pytest.fixture
def reads(tmp_path: Path) -> Iterator[Reads]:
    READS.below, READS.opened = str(tmp_path / "instance"), []
    yield READS
    READS.below = ""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A payload of two files."""
    root = tmp_path / "instance"
    root.mkdir()
    for name in ("one", "two"):
        (root / name).write_text(name)
    return root


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / ".spotdeploy" / "digests.json"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the files were written some seconds earlier than they were."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + int(OLD_SECONDS * 1e9))


def built(tree: Path, kept: Path) -> Manifest:
    return build_manifest(tree, digests=Digests(kept))


@pytest.mark.usefixtures("later")
def test_an_unchanged_payload_is_not_read_again(tree: Path, kept: Path, reads: Reads) -> None:
    first = built(tree, kept)
    assert reads.take() == ["one", "two"]
    assert built(tree, kept) == first
    assert reads.take() == []


@pytest.mark.usefixtures("later")
def test_only_what_changed_is_read_again(tree: Path, kept: Path, reads: Reads) -> None:
    before = built(tree, kept)
    (tree / "two").write_text("2wo")
    reads.take()
    assert built(tree, kept).digest != before.digest
    assert reads.take() == ["two"]


@pytest.mark.usefixtures("later")
def test_a_change_of_same_size_with_its_time_set_back_is_seen(
    tree: Path, kept: Path, reads: Reads
) -> None:
    before, info = built(tree, kept), (tree / "one").stat()
    (tree / "one").write_text("uno")
    os.utime(tree / "one", ns=(info.st_atime_ns, info.st_mtime_ns))
    reads.take()
    assert built(tree, kept).digest != before.digest
    assert reads.take() == ["one"]


@pytest.mark.usefixtures("later")
def test_a_file_put_in_the_place_of_another_is_read(tree: Path, kept: Path, reads: Reads) -> None:
    built(tree, kept)
    reads.take()
    other = tree.parent / "other"
    other.write_text("ONE")
    os.utime(other, ns=((tree / "one").stat().st_atime_ns, (tree / "one").stat().st_mtime_ns))
    other.replace(tree / "one")
    assert built(tree, kept).entries[0].sha256 == hashlib.sha256(b"ONE").hexdigest()
    assert reads.take() == ["one"]


def test_files_that_changed_just_now_are_not_trusted(tree: Path, kept: Path, reads: Reads) -> None:
    built(tree, kept)
    built(tree, kept)
    assert reads.take() == ["one", "one", "two", "two"]
    assert not kept.exists()


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"a": [1]}',
        b'{"a": [1, 2, 3, 4, 5, "not a digest"]}',
        b"\x00" * 9,
    ],
)
def test_damage_is_ignored_and_made_good(
    tree: Path, kept: Path, reads: Reads, damage: bytes
) -> None:
    first = built(tree, kept)
    kept.write_bytes(damage)
    reads.take()
    assert built(tree, kept) == first
    assert reads.take() == ["one", "two"]
    assert built(tree, kept) == first
    assert reads.take() == []


@pytest.mark.usefixtures("later")
def test_a_payload_is_built_where_nothing_can_be_kept(tree: Path, kept: Path) -> None:
    kept.parent.write_text("a file where the folder should be")
    assert len(built(tree, kept).entries) == 2


@pytest.mark.usefixtures("later")
def test_files_that_are_gone_are_forgotten(tree: Path, kept: Path) -> None:
    built(tree, kept)
    (tree / "two").unlink()
    built(tree, kept)
    assert "two" not in kept.read_text()
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]


def test_a_file_whose_name_is_no_utf_8_is_read_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.py")
    file.write_text("one")
    before = list(read_parts([tmp_path]))
    file.write_text("two")
    assert before != list(read_parts([tmp_path]))
