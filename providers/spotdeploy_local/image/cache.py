"""The cached root images: built once, checked at each use, rebuilt when broken."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from spotdeploy.errors import HostError
from spotdeploy_local.engine import Progress
from spotdeploy_local.image import apt
from spotdeploy_local.image.recipe import Recipe
from spotdeploy_local.layout import CACHE_VARIABLE
from spotdeploy_local.linux.host import explained

NEEDED_BYTES = 700 * 1024 * 1024
_LAST_LINES = 15
_WITNESSES = ("usr/bin", "usr/sbin", "usr/lib/systemd/system", "usr/lib/x86_64-linux-gnu", "etc")

Command = Callable[[Recipe, Path, Path | None], list[str]]
"""Gives the command that fills a folder with a recipe's packages, from a base tree or none."""


@dataclass(frozen=True, slots=True)
class Images:
    """The images below one folder."""

    folder: Path
    command: Command
    needed_bytes: int = NEEDED_BYTES

    def tree(self, recipe: Recipe) -> Path:
        """Where the recipe's root is, once it is built."""
        return self._image(recipe) / "tree"

    def is_whole(self, recipe: Recipe) -> bool:
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
        if self.is_whole(recipe):
            return self.tree(recipe)
        self.folder.mkdir(parents=True, exist_ok=True)
        base = self.build(recipe.base, progress) if recipe.base else None
        with (
            FileLock(self.folder / f"{recipe.digest}.lock"),
            explained(self.folder, CACHE_VARIABLE),
        ):
            if not self.is_whole(recipe):
                self._rebuild(recipe, base, progress)
        return self.tree(recipe)

    def _rebuild(self, recipe: Recipe, base: Path | None, progress: Progress) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < self.needed_bytes:
            raise HostError(
                f"the disk under {self.folder} has {free >> 20} MiB free,"
                f" an image needs {self.needed_bytes >> 20} MiB",
                hint=f"free some space, or name another folder in {CACHE_VARIABLE}",
            )
        image = self._image(recipe)
        part = image.with_suffix(".part")
        for old in (part, image):
            if old.exists():
                progress(f"removing the broken image {old.name}")
                shutil.rmtree(old)
        part.mkdir(mode=0o755)
        _run(self.command(recipe, part / "tree", base), progress)
        progress("writing our own files into the image")
        customize(recipe, part / "tree")
        (part / "stamp.json").write_text(json.dumps(_stamp(recipe, part / "tree")))
        os.sync()
        part.rename(image)
        progress("the image is ready")

    def _image(self, recipe: Recipe) -> Path:
        return self.folder / f"root-{recipe.digest}"


def mmdebstrap(recipe: Recipe, tree: Path, base: Path | None) -> list[str]:
    """The real command, from the host's own apt sources."""
    codename, sources = apt.sources()
    return mmdebstrap_command(recipe, tree, base, codename, sources, apt.acquire_options())


def mmdebstrap_command(
    recipe: Recipe,
    tree: Path,
    base: Path | None,
    codename: str,
    sources: str,
    options: Sequence[str],
) -> list[str]:
    """Built from nothing, or by installing into a copy of `base`, which takes a third of the time.

    `sources` and `options` are lines of sources.list and apt.conf.
    """
    install = shlex.join(["apt-get", "install", "--yes", *recipe.packages])
    how = (
        [f"--include={','.join(recipe.packages)}", "--variant=apt"]
        if base is None
        else [
            "--variant=custom",
            f'--setup-hook=cp -a {shlex.quote(str(base))}/. "$1"/',
            f'--customize-hook=chroot "$1" {install}',
        ]
    )
    return [
        "mmdebstrap",
        "--mode=root",
        *how,
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in options),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")),
        codename,
        str(tree),
        *sources.splitlines(),
    ]


def customize(recipe: Recipe, tree: Path) -> None:
    """Put the recipe's own files into a root and take out what must not be shared."""
    for pattern in (*recipe.removed, "etc/apt/apt.conf.d/99mmdebstrap"):
        for file in tree.glob(pattern):
            file.unlink()
    for name, text in recipe.files.items():
        target = tree / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755 if name in recipe.programs else 0o644)
    units = tree / "etc/systemd/system"
    for unit in recipe.enabled:
        _link(units / "multi-user.target.wants" / unit, f"/etc/systemd/system/{unit}")
    for unit in recipe.masked:
        _link(units / unit, os.devnull)
    (tree / "etc/machine-id").write_text("")


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _stamp(recipe: Recipe, tree: Path) -> dict[str, object]:
    return {"recipe": recipe.digest} | {name: _measure(tree / name) for name in _WITNESSES}


def _measure(folder: Path) -> list[int]:
    """How many entries a folder has, and the sum of their sizes in bytes."""
    try:
        with os.scandir(folder) as entries:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in entries]
    except FileNotFoundError:
        return [0, 0]
    return [len(sizes), sum(sizes)]


def _run(command: list[str], progress: Progress) -> None:
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.startswith("I: "):
                progress(f"building the image: {line[3:].strip()}")
    if process.returncode != 0:
        raise _failure(command[0], process.returncode, lines)


def _failure(tool: str, code: int, lines: Sequence[str]) -> HostError:
    text = "\n".join(f"  {line}" for line in lines)
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        return HostError(f"the disk is full: {tool} failed with\n{text}", hint="free some space")
    return HostError(
        f"the image could not be built: {tool} ended with code {code} and\n{text}",
        hint="apt-get update",
    )
