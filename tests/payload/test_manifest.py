"""The manifest of what is shipped."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pytest

from spotdeploy.errors import ConfigError
from spotdeploy.model import FileKind
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
    assert [(entry.path, entry.kind, entry.mode) for entry in manifest.entries] == [
        ("payload/a file", "file", 0o644),
        ("payload/scripts", "folder", 0o755),
        ("payload/scripts/run.sh", "file", 0o755),
    ]
    assert manifest.text.splitlines()[1:] == [
        "folder 0755 payload/scripts",
        f"{manifest.entries[2].sha256} 0755 payload/scripts/run.sh",
    ]


def test_the_digest_changes_with_content_mode_and_name(tree: Path) -> None:
    digests = {build_manifest(tree).digest}
    (tree / "a file").write_text("changed")
    digests.add(build_manifest(tree).digest)
    (tree / "a file").chmod(0o744)
    digests.add(build_manifest(tree).digest)
    (tree / "a file").rename(tree / "another")
    digests.add(build_manifest(tree).digest)
    assert len(digests) == 4


def test_the_digest_does_not_depend_on_times_or_the_folder(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", "--preserve=mode", tree, copy], check=True)
    os.utime(copy / "a file", (0, 0))
    assert build_manifest(copy).digest == build_manifest(tree).digest


@pytest.mark.parametrize("umask", ["002", "007", "027", "077"])
def test_one_commit_has_one_digest_whatever_the_umask_of_its_checkout(
    tree: Path, tmp_path: Path, umask: str
) -> None:
    (tree / "scripts/link").symlink_to("run.sh")
    as_somebody = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for step in (["init", "-q"], ["add", "-A"], [*as_somebody, "commit", "-qm", "one"]):
        subprocess.run(["git", *step], cwd=tree, check=True)
    for mask in ("022", umask):
        line = f"umask {mask}; git clone -q {tree} {tmp_path}/{mask}"
        subprocess.run(["sh", "-c", line], check=True)
    first, second = (build_manifest(tmp_path / mask) for mask in ("022", umask))
    assert first.digest == second.digest


def test_exact_modes_are_those_of_this_computer(tree: Path) -> None:
    (tree / "scripts").chmod(0o2710)
    (tree / "a file").chmod(0o640)
    modes = {entry.path: entry.mode for entry in build_manifest(tree, modes="exact").entries}
    assert (modes["payload/scripts"], modes["payload/a file"]) == (0o2710, 0o640)


def test_what_only_its_owner_may_read_stays_so_when_it_is_uploaded(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    (folder / "private").mkdir(parents=True, mode=0o700)
    (folder / "shared").mkdir(mode=0o750)
    for name, mode in {"private/key.pem": 0o600, "private/cert": 0o664, "tool": 0o700}.items():
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    entries = build_manifest(tmp_path, [folder]).entries
    modes = {e.path.removeprefix("uploaded_files/"): e.mode for e in entries}
    assert (modes["private"], modes["shared"]) == (0o700, 0o755)
    assert (modes["private/key.pem"], modes["private/cert"], modes["tool"]) == (0o600, 0o644, 0o700)


def test_a_file_to_upload_is_executable_or_not(tree: Path, tmp_path: Path) -> None:
    binary = tmp_path / "bacalhau"
    binary.write_bytes(b"\x7fELF")
    binary.chmod(0o775)
    entry = build_manifest(tree, [binary]).entries[-1]
    assert (entry.path, entry.mode) == ("uploaded_files/bacalhau", 0o755)


@pytest.mark.parametrize("seconds", [-5, 0, 315_532_800])
def test_no_time_is_before_those_that_zip_files_know_or_in_the_future(
    tree: Path, seconds: float
) -> None:
    os.utime(tree / "a file", (seconds, seconds))
    os.utime(tree / "scripts", (2**33, 2**33))
    began = time.time()
    times = {entry.path: entry.modified for entry in build_manifest(tree).entries}
    assert time.localtime(times["payload/a file"]).tm_year == 1980
    assert began - 1 <= times["payload/scripts"] <= time.time()
    assert times["payload/scripts/run.sh"] == int((tree / "scripts/run.sh").stat().st_mtime)


def test_links_are_links_to_files_folders_and_other_links(tree: Path) -> None:
    links = {
        "bin": "scripts",
        "run": "bin/run.sh",
        "scripts/up": "../run",
        "scripts/all": "..",
        "dots": "./scripts/.././scripts//run.sh",
    }
    for name, target in links.items():
        (tree / name).symlink_to(target)
    entries = build_manifest(tree).entries
    found = {entry.path: entry.target for entry in entries if entry.kind is FileKind.LINK}
    assert found == {f"payload/{name}": target for name, target in links.items()}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "points out of the payload: to /etc/passwd"),
        ("../outside", "points out of the payload"),
        ("scripts/../../instance/a file", "points out of the payload"),
        (".git/config", "points to .git, and no such thing is shipped"),
    ],
)
def test_a_link_that_could_not_work_on_a_node_is_refused(tree: Path, target: str, why: str) -> None:
    assert refused(tree, target) == f"payload.path: {tree}/link is a link that {why}"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere", "points to nowhere, and no such thing is shipped"),
        ("a file/x", "points to a file, and no such thing is shipped"),
        ("link", "leads to itself"),
    ],
)
def test_a_link_that_works_nowhere_is_called_a_dangling_one(
    tree: Path, target: str, why: str
) -> None:
    assert refused(tree, target) == f"payload.path: {tree}/link is a dangling link: it {why}"


def refused(tree: Path, target: str) -> str:
    """Why a tree with such a link is refused."""
    (tree.parent / "outside").touch()
    (tree / ".git").mkdir()
    (tree / ".git/config").touch()
    (tree / "link").symlink_to(target)
    with pytest.raises(ConfigError) as caught:
        build_manifest(tree)
    assert f"put '/link' into {tree}/.spotdeployignore" in (caught.value.hint or "")
    return caught.value.message


def test_a_link_in_an_environment_of_python_has_the_folder_named(tree: Path) -> None:
    (tree / "my env/bin").mkdir(parents=True)
    (tree / "my env/pyvenv.cfg").touch()
    (tree / "my env/bin/python").symlink_to("/usr/bin/python3")
    with pytest.raises(ConfigError) as caught:
        build_manifest(tree)
    assert "put '/my env/' into" in (caught.value.hint or "")


def test_an_empty_folder_is_shipped_and_one_of_litter_is_not(tree: Path) -> None:
    (tree / "logs/deep").mkdir(parents=True)
    (tree / "removed/part/__pycache__").mkdir(parents=True)
    (tree / "removed/__pycache__").mkdir(parents=True)
    paths = [e.path for e in build_manifest(tree).entries if e.kind is FileKind.FOLDER]
    assert paths == ["payload/logs", "payload/logs/deep", "payload/scripts"]


def test_hard_links_are_shipped_as_files(tree: Path) -> None:
    (tree / "again").hardlink_to(tree / "a file")
    one, other = build_manifest(tree).entries[:2]
    assert (one.sha256, one.mode, one.kind) == (other.sha256, other.mode, other.kind)


def test_a_payload_or_upload_that_is_a_link_out_of_the_repository_is_refused(
    tmp_path: Path,
) -> None:
    outside, project = tmp_path / "outside", tmp_path / "repository/deploy"
    outside.mkdir()
    project.mkdir(parents=True)
    (outside / "key").touch()
    (project / "instance").symlink_to(outside)
    (project / "key").symlink_to(outside / "key")
    (project / "app").mkdir()
    for root, uploads in ((project / "instance", []), (project / "app", [project / "key"])):
        with pytest.raises(ConfigError, match=r"leads out of the repository, to .*/outside"):
            build_manifest(root, uploads, project=project)
    assert build_manifest(outside, [outside / "key"], project=project).files
    (tmp_path / "repository/shared").mkdir()
    (project / "link").symlink_to("../shared")
    with pytest.raises(ConfigError, match="leads out of the repository"):
        build_manifest(project / "link", project=project)
    (tmp_path / "repository/.git").mkdir()
    assert build_manifest(project / "link", project=project).entries == ()


def test_a_missing_payload_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"payload\.path: .* is not a folder") as caught:
        build_manifest(tmp_path / "nothing")
    assert "spotdeploy init" in (caught.value.hint or "")


def test_a_fifo_is_refused_and_never_read(tree: Path) -> None:
    os.mkfifo(tree / "scripts/pipe")
    with pytest.raises(ConfigError, match="pipe is neither a file, a folder nor a link") as caught:
        build_manifest(tree)
    assert caught.value.hint == (
        f"put '/scripts/pipe' into {tree}/.spotdeployignore to leave it out, or remove it"
    )


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
    (tree / "link").symlink_to("a file")
    os.utime(tree / "a file", (1_700_000_000, 1_700_000_000))
    manifest = build_manifest(tree)
    with tarfile.open(fileobj=BytesIO(b"".join(stream(manifest)))) as archive:
        members = {member.name: member for member in archive.getmembers()}
        text = archive.extractfile("manifest")
        assert text is not None
        assert text.read().decode() == manifest.text
    assert members.keys() == {"manifest", *(entry.path for entry in manifest.entries)}
    assert members["payload/link"].linkname == "a file"
    assert members["payload/a file"].mtime == 1_700_000_000
    assert members["payload/scripts/run.sh"].mode == 0o755


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(tree: Path) -> None:
    manifest = build_manifest(tree)
    (tree / "a file").write_text("")
    with pytest.raises(OSError, match="shrank"):
        list(stream(manifest))
