"""The cached root images: checked at each use, rebuilt when broken, and in time when old.

They hold programs that run as their owner, root, without this host's updates: only root gets in.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.errors import HostError
from spotdeploy.model import Cached
from spotdeploy_local.engine import Progress
from spotdeploy_local.image.build import Command, customize, run_build
from spotdeploy_local.image.recipe import Recipe
from spotdeploy_local.layout import CACHE_VARIABLE
from spotdeploy_local.linux import syscalls
from spotdeploy_local.linux.host import IMAGE_BYTES, explain_full_disk
from spotdeploy_local.linux.hostlock import held

BUILD_SECONDS = 900.0
"""How long another process's build is waited for, over a slow line too."""
OLD_SECONDS = 30 * 86400.0
"""The age at which an image is renewed, for its packages' security updates."""

_KIND = "image"
_BLOCK = 512  # bytes, in which stat(2) counts what a file takes of the disk
_SAMPLED = ("usr/bin", "usr/sbin", "usr/lib/systemd/system", "usr/lib/x86_64-linux-gnu", "etc")


@dataclass(frozen=True, slots=True)
class Images:
    """The images below one folder."""

    folder: Path
    command: Command
    needed_bytes: int = IMAGE_BYTES

    def tree(self, recipe: Recipe) -> Path:
        """Where the recipe's root is, once it is built."""
        return self._image(recipe) / "tree"

    def is_complete(self, recipe: Recipe) -> bool:
        """True when the image is complete, judged in a millisecond by its stamp."""
        image = self._image(recipe)
        try:
            stamp = json.loads((image / "stamp.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(stamp == _stamp(recipe, image / "tree"))

    def build(self, recipe: Recipe, progress: Progress) -> Path:
        """The recipe's root, built now if it is missing or broken.

        Blocks for about a minute, or while another process builds. Raises HostError.
        """
        if self.is_complete(recipe):
            return self.tree(recipe)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        base = self.build(recipe.base, progress) if recipe.base else None
        with self._lock(recipe):
            if not self.is_complete(recipe):
                self._rebuild(recipe, base, progress)
        return self.tree(recipe)

    def renew(self, recipe: Recipe, progress: Progress) -> Path:
        """The recipe's root, built now if it is missing, broken or old; machines that run on an old
        one keep it. One that cannot be built anew is used on. Raises HostError as `build` does."""
        tree = self.build(recipe, progress)
        if tree.parent.stat().st_mode & 0o077:  # before this release
            tree.parent.chmod(0o700)
        if self._is_old(recipe):
            try:
                base = self.renew(recipe.base, progress) if recipe.base else None
                with self._lock(recipe):
                    if self._is_old(recipe):
                        progress(f"the image is {self._age(recipe) / 86400:.0f} days old")
                        self._rebuild(recipe, base, progress)
            except HostError as error:
                progress(f"the image stays as it is, without security updates: {error.message}")
        return tree

    def unused(self, needed: Recipe | None) -> list[Cached]:
        """The images that no machine runs on, with those that are half built or replaced; `needed`
        and what it is built upon are told apart."""
        kept = set()
        while needed:
            kept.add(self._image(needed).name)
            needed = needed.base
        names = {folder.name.partition(".")[0] for folder in self.folder.glob("root-*")}
        found = ((name, self._unused(name)) for name in sorted(names))
        return [
            Cached(_KIND, name, sum(map(_disk_bytes, folders)), needed=name in kept)
            for name, folders in found
            if folders
        ]

    def discard(self, things: Sequence[Cached]) -> list[Cached]:
        """Remove these images, unless a machine runs on one by now. Gives those that are gone.
        Raises HostError while one is being built."""
        gone = []
        for thing in things:
            if thing.kind == _KIND:
                with held(self.folder / f"{thing.id.removeprefix('root-')}.lock"):
                    folders = self._unused(thing.id)
                    for folder in folders:
                        _remove_unused(folder)
                gone += [] if any(folder.exists() for folder in folders) else [thing]
        return gone

    def _unused(self, name: str) -> list[Path]:
        return [one for one in self.folder.glob(f"{name}*") if not _is_used(one)]

    def _is_old(self, recipe: Recipe) -> bool:
        return self._age(recipe) > OLD_SECONDS

    def _age(self, recipe: Recipe) -> float:
        """Seconds since an image was complete."""
        return time.time() - (self._image(recipe) / "stamp.json").stat().st_mtime

    @contextmanager
    def _lock(self, recipe: Recipe) -> Iterator[None]:
        with (
            held(self.folder / f"{recipe.digest}.lock", BUILD_SECONDS),
            explain_full_disk(self.folder, CACHE_VARIABLE),
        ):
            yield

    def _rebuild(self, recipe: Recipe, base: Path | None, progress: Progress) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < self.needed_bytes:
            raise HostError(
                f"the disk under {self.folder} has {free >> 20} MiB free,"
                f" an image needs {self.needed_bytes >> 20} MiB",
                hint=f"free some space, or name another folder in {CACHE_VARIABLE}",
            )
        image = self._image(recipe)
        if image.exists() and not self.is_complete(recipe):
            progress(f"removing the broken image {image.name}")
            shutil.rmtree(image)
        for old in self.folder.glob(f"{image.name}.*"):
            _remove_unused(old)
        part = image.with_suffix(f".{secrets.token_hex(4)}.part")
        part.mkdir(mode=0o700)
        run_build(self.command(recipe, part / "tree", base), progress)
        progress("writing our own files into the image")
        customize(recipe, part / "tree")
        (part / "stamp.json").write_text(json.dumps(_stamp(recipe, part / "tree")))
        os.sync()
        if image.exists():
            syscalls.exchange(str(part), str(image))
            _remove_unused(part)
        else:
            part.rename(image)
        progress("the image is ready")

    def _image(self, recipe: Recipe) -> Path:
        return self.folder / f"root-{recipe.digest}"


def _remove_unused(folder: Path) -> None:
    """Remove an old or half-built image, unless a machine runs on it, which then locks it."""
    if not _is_used(folder):
        shutil.rmtree(folder, ignore_errors=True)  # its builder may be just dying


def _is_used(folder: Path) -> bool:
    used = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(used)
    return False


def _disk_bytes(folder: Path) -> int:
    """What a tree takes of the disk; a file of several names counts once."""
    files = {
        (status.st_dev, status.st_ino): status.st_blocks
        for top, _, names in os.walk(folder)
        for status in (os.lstat(Path(top, name)) for name in names)
    }
    return sum(files.values()) * _BLOCK


def _stamp(recipe: Recipe, tree: Path) -> dict[str, object]:
    return {"recipe": recipe.digest} | {name: _measure(tree / name) for name in _SAMPLED}


def _measure(folder: Path) -> list[int]:
    """How many entries a folder has, and the sum of their sizes in bytes."""
    try:
        with os.scandir(folder) as entries:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in entries]
    except FileNotFoundError:
        return [0, 0]
    return [len(sizes), sum(sizes)]
