"""The manifest of what is shipped."""

from __future__ import annotations

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.payload.archive import stream
from spotdeploy.payload.manifest import build_manifest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "instance"
    (root / "scripts").mkdir(parents=True)
    (root / "scripts" / "run.sh").write_text("echo hi\n")
    (root / "scripts" / "run.sh").chmod(0o755)
    (root / "a file").write_text("with a space in its name")
    return root


def test_every_file_is_listed_with_mode_and_digest(tree: Path) -> None:
    manifest = build_manifest(tree)
    assert [entry.path for entry in manifest.entries] == [
        "payload/a file",
        "payload/scripts/run.sh",
    ]
    assert manifest.entries[1].mode == 0o755


def test_the_digest_changes_with_content_mode_and_name(tree: Path) -> None:
    digests = {build_manifest(tree).digest}
    (tree / "a file").write_text("changed")
    digests.add(build_manifest(tree).digest)
    (tree / "a file").chmod(0o600)
    digests.add(build_manifest(tree).digest)
    (tree / "a file").rename(tree / "another")
    digests.add(build_manifest(tree).digest)
    assert len(digests) == 4


def test_the_digest_does_not_depend_on_times_or_the_folder(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", "--preserve=mode", tree, copy], check=True)
    os.utime(copy / "a file", (0, 0))
    assert build_manifest(copy).digest == build_manifest(tree).digest


def test_uploaded_files_keep_their_modes(tree: Path, tmp_path: Path) -> None:
    binary = tmp_path / "bacalhau"
    binary.write_bytes(b"\x7fELF")
    binary.chmod(0o750)
    entry = build_manifest(tree, [binary]).entries[-1]
    assert (entry.path, entry.mode) == ("uploaded_files/bacalhau", 0o750)


def test_a_file_that_escapes_the_payload_is_refused(tree: Path) -> None:
    (tree / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match=r"passwd escapes the payload: it points to /etc/passwd"):
        build_manifest(tree)


def test_a_missing_payload_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"payload\.path: .* is not a folder") as caught:
        build_manifest(tmp_path / "nothing")
    assert "spotdeploy init" in (caught.value.hint or "")


def test_a_fifo_is_refused_and_never_read(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(ConfigError, match="pipe is not a plain file"):
        build_manifest(tree)


def test_a_link_to_a_folder_is_refused(tree: Path) -> None:
    (tree / "again").symlink_to(tree / "scripts")
    with pytest.raises(ConfigError, match="again is a link to a folder"):
        build_manifest(tree)


def test_two_uploads_of_one_name_are_refused(tree: Path, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text(folder)
    with pytest.raises(ConfigError, match="would both become /opt/uploaded_files/same"):
        build_manifest(tree, [tmp_path / "x", tmp_path / "y"])


def test_a_name_that_cannot_be_printed_is_refused(tree: Path) -> None:
    (tree / "bad\nname").write_text("x")
    with pytest.raises(ConfigError, match="cannot be printed"):
        build_manifest(tree)


def test_caches_of_python_are_not_shipped(tree: Path) -> None:
    (tree / "scripts" / "__pycache__").mkdir()
    (tree / "scripts" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert not [e for e in build_manifest(tree).entries if "pyc" in e.path]


def test_the_bundle_is_a_tar_that_holds_just_the_manifest_and_its_files(tree: Path) -> None:
    (tree / ("deep" * 20)).mkdir()
    (tree / ("deep" * 20) / ("long" * 30)).write_text("a path of more than 100 characters")
    manifest = build_manifest(tree)
    with tarfile.open(fileobj=BytesIO(b"".join(stream(manifest)))) as archive:
        members = {member.name: member for member in archive.getmembers()}
        text = archive.extractfile("manifest")
        assert text is not None
        assert text.read().decode() == manifest.text
    assert members.keys() == {"manifest", *(entry.path for entry in manifest.entries)}
    assert members["payload/scripts/run.sh"].mode == 0o755


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(tree: Path) -> None:
    manifest = build_manifest(tree)
    (tree / "a file").write_text("")
    with pytest.raises(OSError, match="shrank"):
        list(stream(manifest))
