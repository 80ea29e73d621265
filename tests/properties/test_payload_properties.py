"""Whatever a folder holds: it arrives as it is, or is refused in one line."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdeploy.errors import ConfigError
from spotdeploy.model import Manifest
from spotdeploy.payload.archive import stream
from spotdeploy.payload.hashes import Digests
from spotdeploy.payload.ignore import LITTER, NEVER
from spotdeploy.payload.manifest import build_manifest
from spotdeploy.phases.ship import receive_script
from tests.properties.effort import FEW, USUAL

LEFT_OUT = LITTER | NEVER
ODD = [
    "-rf",
    "--",
    "a b",
    " ",
    "a ",
    "\\",
    "a\\nb",
    "$(id)",
    "`id`",
    "'",
    '"',
    "*",
    "é漢",
    "x" * 255,
    "ü" * 120,
    "manifest",
    "payload",
    "..a",
    "#",
    "%s",
    "~",
    "a\nb",
    "\x1b[31m",
    "\u202e",
    "\udcff",
    "\u00a0",
    ".git",
    "__pycache__",
]
SANE = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)
NAMES = (st.sampled_from(ODD) | SANE).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5)
KINDS = st.sampled_from(
    ["file"] * 8
    + [
        "folder",
        "link-in",
        "link-absolute",
        "link-out",
        "link-up",
        "link-folder",
        "dangling",
        "loop",
        "fifo",
        "socket",
        "device",
        "hard",
    ]
)
TREES = st.lists(
    st.tuples(
        PATHS,
        KINDS,
        st.binary(max_size=600),
        st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o4755, 0o2755, 0o1777, 0o777, 0o400]),
    ),
    min_size=1,
    max_size=7,
)
Tree = list[tuple[list[str], str, bytes, int]]


@pytest.fixture
def folders() -> Iterator[Callable[[], Path]]:
    """Makes a fresh folder each time, with a short path."""
    root = Path(tempfile.mkdtemp(prefix="sd"))

    def make() -> Path:
        return Path(tempfile.mkdtemp(dir=root))

    yield make
    shutil.rmtree(root)


def plant(root: Path, tree: Tree) -> None:
    """Make the tree, as far as the file system takes it."""
    outside = root.parent / "outside"
    outside.write_text("secret")
    (root / "first").write_text("first")
    for names, kind, content, mode in tree:
        path = root.joinpath(*names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            plant_one(root, path, kind, content, mode)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            if error.errno != 36:  # the name is too long here
                raise


def plant_one(root: Path, path: Path, kind: str, content: bytes, mode: int) -> None:
    links = {
        "link-in": os.path.relpath(root / "first", path.parent),
        "link-absolute": root / "first",
        "link-out": root.parent / "outside",
        "link-up": "../../outside",
        "link-folder": os.path.relpath(root, path.parent),
        "dangling": "nothing-there",
        "loop": path.name,
    }
    if kind == "file":
        if path.exists() and not path.is_file():  # to write to a pipe waits for a reader
            return
        path.write_bytes(content)
        path.chmod(mode)
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        if path.exists() or len(os.fsencode(path)) > 100:
            return
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "device":
        if os.geteuid() == 0:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    elif kind == "hard":
        path.hardlink_to(root / "first")
    else:
        path.symlink_to(str(links[kind]))


def below(root: Path) -> Iterator[Path]:
    """Everything in a folder, links not followed."""
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def arrived(root: Path) -> dict[str, tuple[int, str, str]]:
    """What stands on the node: path to mode, digest and target."""
    return {
        str(path.relative_to(root.parent)): (
            stat.S_IMODE(path.lstat().st_mode),
            hashlib.sha256(path.read_bytes()).hexdigest() if plain(path) else "",
            str(path.readlink()) if path.is_symlink() else "",
        )
        for path in below(root)
    }


def plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def unpack(node: Path, manifest: Manifest, data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Have our own script for nodes take it, with `node` for /opt."""
    script = receive_script(manifest.digest).replace("/opt", str(node))
    return subprocess.run(["sh", "-c", script], input=data, capture_output=True, check=False)


@USUAL
@given(tree=TREES)
@example(tree=[(["a"], "loop", b"", 0o644)])
@example(tree=[(["\udcff"], "file", b"x", 0o644)])
@example(tree=[(["d"] * 60 + ["x" * 200], "file", b"x", 0o644)])
@example(tree=[(["a\nb", "a"], "link-folder", b"", 0o644)])
@example(tree=[(["a\nb", "f"], "fifo", b"", 0o644)])
@example(tree=[(["f"], "fifo", b"", 0o644), (["f"], "file", b"x", 0o644)])
@example(tree=[([" "], "file", b"x", 0o644), (["\\"], "file", b"y", 0o4755)])
def test_a_tree_arrives_as_it_is_or_is_refused_in_one_line(
    folders: Callable[[], Path], tree: Tree
) -> None:
    base = folders()
    root, node = base / "tree", base / "opt"
    root.mkdir()
    node.mkdir()
    plant(root, tree)
    try:
        manifest = build_manifest(root)
    except ConfigError as error:
        output = f"{error.message} {error.hint or ''}"
        assert len(output.splitlines()) == 1, output
        assert output.isprintable(), output
        return
    done = unpack(node, manifest, b"".join(stream(manifest)))
    assert done.returncode == 0, done.stderr
    desired = {e.path: (e.mode, e.sha256, e.target) for e in manifest.entries}
    assert arrived(node / "spotdeploy/payload") == desired
    assert (node / "spotdeploy/manifest").read_text() == manifest.text
    there = [path.relative_to(root) for path in below(root)]
    holders = {path.parent for path in there if path.name in LEFT_OUT}
    missing = {p for p in there if not LEFT_OUT & set(p.parts)} - {
        Path(e.path).relative_to("payload") for e in manifest.entries
    }
    assert all(any(h.is_relative_to(path) for h in holders) for path in missing), missing
    assert all((root / path).is_dir() for path in missing), "nothing else is left out"
    assert not list(node.rglob("incoming"))


SANE_TREES = st.dictionaries(
    st.lists(SANE.filter(lambda n: n.strip(".") and n not in LEFT_OUT), min_size=1, max_size=3).map(
        lambda parts: "/".join([*(f"{part}_" for part in parts[:-1]), parts[-1]])
    ),
    st.tuples(st.binary(max_size=50), st.sampled_from([0o644, 0o755, 0o600])),
    min_size=1,
    max_size=6,
)
Files = dict[str, tuple[bytes, int]]


def write(root: Path, files: Files, order: list[str], at: float) -> str:
    for name in order:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name][0])
        path.chmod(files[name][1])
        os.utime(path, (at, at))
    return build_manifest(root).digest


@FEW
@given(files=SANE_TREES, data=st.data())
def test_the_digest_is_of_paths_modes_and_contents_and_of_nothing_else(
    folders: Callable[[], Path], files: Files, data: st.DataObject
) -> None:
    if any(other.startswith(f"{name}/") for name in files for other in files):
        return
    order = data.draw(st.permutations(sorted(files)))
    one, other = folders(), folders()
    digest = write(one, files, sorted(files), 1e9)
    assert write(other, files, order, data.draw(st.floats(0, 2e9))) == digest
    name = data.draw(st.sampled_from(sorted(files)))
    (other / name).write_bytes(files[name][0] + b"x")
    assert build_manifest(other).digest != digest
    (other / name).write_bytes(files[name][0])
    assert build_manifest(other).digest == digest
    (other / name).chmod(0o640 if files[name][1] & 0o100 else 0o750)
    assert build_manifest(other).digest != digest, "executable or not"
    (other / name).chmod(files[name][1] | 0o020)
    assert build_manifest(other).digest == digest, "what a umask decides does not count"
    (other / name).chmod(files[name][1])
    (other / name).rename(other / f"{name}~")
    assert build_manifest(other).digest != digest


@FEW
@given(
    edits=st.lists(
        st.tuples(st.sampled_from("abc"), st.binary(min_size=3, max_size=3), st.booleans()),
        max_size=8,
    )
)
def test_remembered_digests_are_never_stale(
    folders: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
    edits: list[tuple[str, bytes, bool]],
) -> None:
    later = time.time_ns() + 10**10  # so that what was written just now counts as settled
    monkeypatch.setattr(time, "time_ns", lambda: later)
    root = folders()
    kept = root.parent / f"{root.name}.json"
    for name in "abc":
        (root / name).write_bytes(b"...")
    for name, content, replaced in edits:
        assert build_manifest(root, digests=Digests(kept)).digest == build_manifest(root).digest
        edit(root / name, content, replaced=replaced)
    assert build_manifest(root, digests=Digests(kept)).digest == build_manifest(root).digest


def edit(path: Path, content: bytes, *, replaced: bool) -> None:
    """Change a file without changing its size or time."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # until the file system's clock ticks
        target = path.with_name("new") if replaced else path
        target.write_bytes(content)
        target.replace(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def tar_of(members: Sequence[tarfile.TarInfo], content: bytes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for member in (tarfile.TarInfo("manifest"), *members):
            member.size = len(content) if member.isreg() and member.name != "manifest" else 0
            tar.addfile(member, io.BytesIO(content) if member.size else None)
    return data.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    if kind == tarfile.CHRTYPE:
        info.devmajor, info.devminor = 1, 5
    return info


HOSTILE = {
    "a name with dots": [member("../escaped")],
    "an absolute name": [member("/escaped-from-a-bundle")],
    "dots further down": [member("payload/x/../../../escaped")],
    "a file nobody named": [member("payload/escaped")],
    "a link and a file behind it": [
        member("payload", tarfile.SYMTYPE, "../../.."),
        member("payload/escaped"),
    ],
    "an absolute link": [member("payload/l", tarfile.SYMTYPE, "/etc/passwd")],
    "a hard link outside": [member("payload/l", tarfile.LNKTYPE, "../../outside")],
    "a hard link to the manifest": [member("payload/l", tarfile.LNKTYPE, "manifest")],
    "a device": [member("payload/d", tarfile.CHRTYPE)],
    "a pipe": [member("payload/p", tarfile.FIFOTYPE)],
    "one name twice": [member("payload/a"), member("payload/a")],
    "a second manifest": [member("manifest/"), member("manifest/a")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_bundle_with_more_than_its_manifest_names_is_refused_and_writes_nothing_outside(
    folders: Callable[[], Path], members: list[tarfile.TarInfo]
) -> None:
    base = folders()
    node = base / "opt"
    node.mkdir()
    (base / "outside").write_text("of the node itself")
    done = unpack(node, Manifest(()), tar_of(members, b"evil"))
    assert done.returncode != 0
    outside = [path for path in base.rglob("*") if "incoming" not in path.parts]
    assert sorted(outside) == [node, node / "spotdeploy", base / "outside"]
    assert (base / "outside").read_text() == "of the node itself"
    assert not Path("/escaped-from-a-bundle").exists()
