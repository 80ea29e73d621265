"""What is shipped to each node: the manifest of paths, modes and digests, and its own digest."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spotdeploy.config.schema import Modes, Settings
from spotdeploy.errors import ConfigError
from spotdeploy.model import PAYLOAD, UPLOADED, FileKind, Manifest, PayloadFile, changed_paths
from spotdeploy.payload import hashes
from spotdeploy.payload.hashes import Digests
from spotdeploy.payload.ignore import FILE, LITTER, NEVER, Ignore
from spotdeploy.payload.links import LeadsNowhereError, follow

EARLIEST: Final = 315_619_200
"""1980-01-02 in Unix seconds: ZIP files know no time before 1980, and write the local one."""
NAMED: Final = 10
"""Changed paths that are named; of more, the number is told."""
DEPENDENCIES: Final = frozenset({".venv", "venv", "node_modules", ".tox", ".nox"})
"""Folders that are made for one computer, and made anew on another."""


def read_manifest(settings: Settings) -> Manifest:
    """The manifest of a config's payload. Blocks while it reads what has changed since the last
    time; see `build_manifest`."""
    payload = settings.config.payload
    return build_manifest(
        settings.resolve(payload.path),
        [settings.resolve(path) for path in payload.upload],
        modes=payload.modes,
        digests=Digests(settings.state / hashes.FILE),
        project=settings.folder,
    )


def build_manifest(
    root: Path,
    uploads: Sequence[Path] = (),
    *,
    modes: Modes = "normal",
    digests: Digests | None = None,
    project: Path | None = None,
) -> Manifest:
    """Read the payload tree and the files to upload.

    A folder in `uploads` gives its contents, a file itself. Files that `.spotdeployignore` names
    are left out; that of `project` counts for everything below it. Blocks while it reads and hashes
    every file that `digests` does not know.

    Raises:
        ConfigError: a tree or file is missing, unreadable or neither file, folder nor link; a link
            leads to nothing that is shipped; a path leads out of the repository of `project`
            through a link; or two uploads have one name.
    """
    if not root.is_dir():
        raise ConfigError(
            f"payload.path: {root} is not a folder",
            hint="run 'spotdeploy init' to write the reference payload, or correct the path",
        )
    reader = _Reader(modes, digests or Digests(), project, int(time.time()))
    entries = {entry.path: entry for entry in reader.tree(root, PAYLOAD, "payload.path")}
    for upload in uploads:
        for entry in reader.upload(upload):
            other = entries.setdefault(entry.path, entry)
            if other is not entry and {other.kind, entry.kind} != {FileKind.FOLDER}:
                raise ConfigError(
                    f"payload.upload: {upload} and {other.source} "
                    f"would both become /opt/{entry.path}",
                    hint="rename one of them",
                )
    reader.digests.save()
    return Manifest(tuple(entries[path] for path in sorted(entries)))


def changed_since(settings: Settings, manifest: Manifest) -> str:
    """What differs from a manifest in the payload of a config now, in one line; empty when nothing
    does. Blocks while it reads what has changed."""
    try:
        now = read_manifest(settings)
    except ConfigError as error:
        return error.message
    before = {entry.path: entry.line for entry in manifest.entries}
    found = changed_paths(before, {entry.path: entry.line for entry in now.entries})
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more


def dependency_folders(manifest: Manifest) -> list[str]:
    """The folders of a manifest that are made for one computer; of nested ones the outermost."""
    environments = {
        entry.path.removesuffix("/pyvenv.cfg")
        for entry in manifest.files
        if entry.path.endswith("/pyvenv.cfg")
    }
    found: list[str] = []
    for entry in manifest.entries:
        made_here = entry.path in environments or entry.source.name in DEPENDENCIES
        inside = bool(found) and entry.path.startswith(f"{found[-1]}/")
        if entry.kind is FileKind.FOLDER and made_here and not inside:
            found.append(entry.path)
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    """How trees are read."""

    modes: Modes
    digests: Digests
    project: Path | None
    now: int

    def upload(self, upload: Path) -> Iterator[PayloadFile]:
        """What one entry of `payload.upload` gives."""
        key = "payload.upload"
        if upload.is_dir():
            yield from self.tree(upload, UPLOADED, key)
        elif upload.is_file():
            self._require_inside(upload, key)
            _require_printable(upload.name, str(upload), key)
            yield self._file(upload, f"{UPLOADED}/{upload.name}", key, upload.stat())
        elif upload.exists():
            raise ConfigError(f"{key}: {upload} is not a plain file", hint="remove it")
        else:
            raise ConfigError(
                f"{key}: {upload} does not exist", hint="correct the path or remove it"
            )

    def tree(self, root: Path, prefix: str, key: str) -> Iterator[PayloadFile]:
        """Everything in a folder that is not left out."""
        self._require_inside(root, key)
        found = self._found(root, prefix, key)
        for path, entry in found.items():
            if entry.kind is FileKind.LINK:
                try:
                    follow(found, path)
                except LeadsNowhereError as error:
                    what = "a link that" if entry.source.exists() else "a dangling link: it"
                    raise ConfigError(
                        f"{key}: {entry.source} is {what} {error}",
                        hint=f"{_leave_out(root, path)}, or make it a relative link to something "
                        "that is shipped",
                    ) from error
            yield entry

    def _found(self, root: Path, prefix: str, key: str) -> dict[str, PayloadFile]:
        """Path below `root` to what is there. A folder that holds litter and nothing else was left
        behind by something that is gone, and is left out too: another checkout has none."""
        found: dict[str, PayloadFile] = {}
        folders, littered, children = [""], set(), Counter[str]()
        pending = [("", Ignore.above(root, self.project))]
        while pending:
            parent, ignore = pending.pop()
            items = _listed(root / parent, key)
            if any(item.name == FILE for item in items):
                ignore = ignore.inside(root / parent)
            for item in items:
                path = f"{parent}/{item.name}" if parent else item.name
                folder = item.is_dir(follow_symlinks=False)
                if ignore.leaves_out(item.path, item.name, folder=folder):
                    if item.name in LITTER | NEVER:
                        littered.add(parent)
                    continue
                _require_printable(item.name, item.path, key)
                found[path] = self._entry(item, f"{prefix}/{path}", key, root)
                children[parent] += 1
                if folder:
                    folders.append(path)
                    pending.append((path, ignore))
        for path in reversed(folders[1:]):
            if path in littered and not children[path]:
                del found[path]
                parent = path.rpartition("/")[0]
                children[parent] -= 1
                littered.add(parent)
        return found

    def _entry(self, item: os.DirEntry[str], path: str, key: str, root: Path) -> PayloadFile:
        source = Path(item.path)
        try:
            info = item.stat(follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                return self._link(source, path, key, info)
            if stat.S_ISDIR(info.st_mode):
                mode, time_there = self._mode(info, path), self._time(info)
                return PayloadFile(path, mode, "", 0, source, FileKind.FOLDER, modified=time_there)
        except OSError as error:
            raise _unreadable(source, key, error) from error
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(
                f"{key}: {source} is neither a file, a folder nor a link",
                hint=f"{_leave_out(root, path.partition('/')[2])}, or remove it",
            )
        return self._file(source, path, key, info)

    def _link(self, source: Path, path: str, key: str, info: os.stat_result) -> PayloadFile:
        target = os.readlink(source)  # noqa: PTH115  # as it is written; a Path would tidy it
        if not target.isprintable():
            raise ConfigError(
                f"{key}: {source} is a link whose target cannot be printed: {target!r}",
                hint="remove it",
            )
        return PayloadFile(
            path, 0o777, "", 0, source, FileKind.LINK, target=target, modified=self._time(info)
        )

    def _file(self, source: Path, path: str, key: str, info: os.stat_result) -> PayloadFile:
        try:
            digest = self.digests.sha256(source, info)
        except OSError as error:
            raise _unreadable(source, key, error) from error
        return PayloadFile(
            path,
            self._mode(info, path),
            digest,
            info.st_size,
            source,
            modified=self._time(info),
        )

    def _mode(self, info: os.stat_result, path: str) -> int:
        """As git keeps it, whatever the umask: executable or not. Of what is uploaded, nobody else
        may read what only its owner may read here."""
        mode = stat.S_IMODE(info.st_mode)
        if self.modes == "exact":
            return mode
        normal = 0o755 if stat.S_ISDIR(info.st_mode) or mode & stat.S_IXUSR else 0o644
        private = path.startswith(f"{UPLOADED}/") and not mode & 0o077
        return normal & 0o700 if private else normal

    def _time(self, info: os.stat_result) -> int:
        return min(max(int(info.st_mtime), EARLIEST), self.now)

    def _require_inside(self, path: Path, key: str) -> None:
        """Refuse what looks as if it were in the repository and is a link to elsewhere: whoever
        reads the config would not know what leaves this computer. Raises ConfigError."""
        if self.project is None:
            return
        repository = _repository(self.project)
        named = Path(os.path.normpath(path))
        real = path.resolve()
        if named.is_relative_to(repository) and not real.is_relative_to(repository.resolve()):
            raise ConfigError(
                f"{key}: {path} leads out of the repository, to {real}",
                hint=f"copy it into {repository}, or name {real} itself",
            )


def _repository(project: Path) -> Path:
    """The git repository that a folder is in, or else the folder."""
    return next((one for one in (project, *project.parents) if (one / ".git").exists()), project)


def _listed(folder: Path, key: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except OSError as error:
        raise _unreadable(folder, key, error) from error


def _unreadable(path: Path, key: str, error: OSError) -> ConfigError:
    hint = f"chmod u+r {path}" if isinstance(error, PermissionError) else "run it again"
    return ConfigError(f"{key}: cannot read {path}: {error.strerror}", hint=hint)


def _require_printable(name: str, path: str, key: str) -> None:
    """Refuse what would break every line that names it. Raises ConfigError."""
    if not name.isprintable():
        raise ConfigError(
            f"{key}: {path!r} has characters that cannot be printed", hint="rename it"
        )


def _leave_out(root: Path, path: str) -> str:
    """How to leave a path out: with the whole folder, where that is made for one computer."""
    parts = path.split("/")
    for number, name in enumerate(parts[:-1], 1):
        if name in DEPENDENCIES or root.joinpath(*parts[:number], "pyvenv.cfg").is_file():
            path = f"{'/'.join(parts[:number])}/"
            break
    return f"put '/{path}' into {root / FILE} to leave it out"
