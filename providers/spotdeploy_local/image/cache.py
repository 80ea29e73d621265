"""The cached root images: built once, checked at each use, rebuilt when broken."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from spotdeploy.errors import HostError
from spotdeploy_local.engine import Progress
from spotdeploy_local.image.build import Command, customize, run_build
from spotdeploy_local.image.recipe import Recipe
from spotdeploy_local.layout import CACHE_VARIABLE
from spotdeploy_local.linux.host import IMAGE_BYTES, explain_full_disk
from spotdeploy_local.linux.hostlock import held

BUILD_SECONDS = 900.0
"""How long another process's build is waited for, over a slow line too."""
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
        self.folder.mkdir(parents=True, exist_ok=True)
        base = self.build(recipe.base, progress) if recipe.base else None
        with (
            held(self.folder / f"{recipe.digest}.lock", BUILD_SECONDS),
            explain_full_disk(self.folder, CACHE_VARIABLE),
        ):
            if not self.is_complete(recipe):
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
        for old in self.folder.glob(f"{image.name}*"):
            progress(f"removing the broken image {old.name}")
            shutil.rmtree(old, ignore_errors=old != image)  # its builder may be just dying
        part = image.with_suffix(f".{secrets.token_hex(4)}.part")
        part.mkdir(mode=0o755)
        run_build(self.command(recipe, part / "tree", base), progress)
        progress("writing our own files into the image")
        customize(recipe, part / "tree")
        (part / "stamp.json").write_text(json.dumps(_stamp(recipe, part / "tree")))
        os.sync()
        part.rename(image)
        progress("the image is ready")

    def _image(self, recipe: Recipe) -> Path:
        return self.folder / f"root-{recipe.digest}"


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
