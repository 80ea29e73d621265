"""The images that containers boot: a tree of mmdebstrap's handed to the engine, or one that the
engine builds upon a base image of a registry's or of the user's."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from spotdeploy.errors import HostError, ProviderError
from spotdeploy.model import Cached
from spotdeploy_local.engine import Progress
from spotdeploy_local.engines.container import commands, fitness
from spotdeploy_local.engines.container.cli import Cli, RefusedCommandError
from spotdeploy_local.image.build import customize, mmdebstrap
from spotdeploy_local.image.cache import BUILD_SECONDS, OLD_SECONDS, Images
from spotdeploy_local.image.recipe import Recipe, recipe_of
from spotdeploy_local.layout import Layout

DIGEST: Final = "spotdeploy.image"
_BUILT: Final = "spotdeploy.built"
REPOSITORY: Final = "localhost/spotdeploy-local"
BASES: Final = {
    "debian-12": "debian:12",
    "debian-13": "debian:13",
    "ubuntu-24.04": "ubuntu:24.04",
    "fedora-43": "fedora:43",
}
"""Base images by their short names, which engines know the registries of:
https://github.com/containers/shortnames."""

_FEDORA: Final = (
    *("systemd", "dbus-daemon", "openssh-server", "python3", "sudo", "iproute", "procps-ng"),
    *("ca-certificates", "curl"),
)
_SETUP: Final = """\
#!/bin/sh
# Adds what a node needs to any image of the Debian or Fedora family.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
for program in systemctl sshd python3 sudo ip ps curl {programs}; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ] && command -v apt-get >/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {debian}
elif [ -n "$missing" ] && command -v dnf >/dev/null; then
    dnf --assumeyes install {fedora}
elif [ -n "$missing" ]; then
    echo "the image lacks$missing, and has neither apt-get nor dnf to install them" >&2
    exit 1
fi
rm -f /etc/ssh/ssh_host_*_key*
"""


@dataclass(frozen=True, slots=True)
class ContainerImages:
    """The image of one `[provider.local] image`, kept by the engine under its digest."""

    cli: Cli
    layout: Layout
    image: str

    def exists(self, *, cloud_init: bool) -> bool:
        return self._has(self.reference(cloud_init=cloud_init))

    def reference(self, *, cloud_init: bool) -> str:
        """The name under which the engine keeps the image, whether it is there or not."""
        recipe = recipe_of(self.image, cloud_init=cloud_init)
        text = [recipe.digest, "" if recipe.release else self._source()]
        digest = recipe.digest if recipe.release else _digest(text)
        return f"{REPOSITORY}:{digest}{'' if self._has_tree(recipe) else '-built'}"

    def renew(self, progress: Progress, *, cloud_init: bool) -> str:
        """The image's name; it is made now if it is missing or old.

        Blocks for a minute or two then. Raises HostError.
        """
        recipe = recipe_of(self.image, cloud_init=cloud_init)
        name = self.reference(cloud_init=cloud_init)
        found = self._inspect(name)
        if self._has_tree(recipe):
            tree = self._trees().renew(recipe, progress)
            built = str(int((tree.parent / "stamp.json").stat().st_mtime))
            if found is None or _labels(found).get(_BUILT) != built:
                self._take(tree, name, recipe, built, progress)
        elif found is None:
            self._build(name, recipe, progress)
        elif (age := time.time() - _made_at(found)) > OLD_SECONDS:
            progress(f"the image is {age / 86400:.0f} days old")
            try:
                self._build(name, recipe, progress)
            except HostError as error:
                progress(f"the image stays as it is, without security updates: {error.message}")
        return name

    def prune(self, kept: str) -> None:
        """Remove our images that are older than one may be and that no container uses."""
        for found in self._ours():
            if kept not in (found.get("RepoTags") or []) and (
                time.time() - _made_at(found) > OLD_SECONDS
            ):
                try:
                    self.cli.run("rmi", found["Id"])
                except RefusedCommandError:
                    continue  # a container was made of it

    def unused(self, *, cloud_init: bool) -> list[Cached]:
        """Our images, and the trees that they are made of, which no container was made of."""
        recipe = recipe_of(self.image, cloud_init=cloud_init)
        needed = {self.reference(cloud_init=cloud_init), self._base()}
        found = []
        for one in self._ours():
            if not self.cli.run("ps", "--all", "--quiet", f"--filter=ancestor={one['Id']}").strip():
                name = next(iter(one.get("RepoTags") or []), one["Id"])
                found.append(Cached(self._kind, name, one["Size"], needed=name in needed))
        return [*found, *self._trees().unused(recipe if self._has_tree(recipe) else None)]

    def discard(self, things: Sequence[Cached]) -> list[Cached]:
        """Remove these; gives what is gone. The engine keeps one that a container was made of."""
        gone = self._trees().discard(things)
        for one in things:
            if one.kind == self._kind:
                if self._has(one.id):
                    try:
                        self.cli.run("rmi", one.id)
                    except RefusedCommandError:
                        continue
                gone.append(one)
        return gone

    @property
    def _kind(self) -> str:
        return f"{self.cli.program}-image"

    def _base(self) -> str:
        """What an image of the user's Containerfile is called before it has what a node needs."""
        return f"{REPOSITORY}:{_digest([self._source()])}-base"

    def _take(self, tree: Path, name: str, recipe: Recipe, built: str, progress: Progress) -> None:
        """Hand a tree to the engine."""
        progress(f"handing the image to {self.cli.program}")
        with subprocess.Popen(
            ["tar", "--numeric-owner", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE
        ) as tar:
            self.cli.run(
                "import",
                *(f"--change=LABEL {_label}" for _label in _named(recipe, built)),
                "-",
                name,
                stdin=tar.stdout,
                seconds=BUILD_SECONDS,
            )
        if tar.returncode != 0:
            raise HostError(f"tar could not read {tree}: exit code {tar.returncode}")
        self.prune(name)
        progress("the image is ready")

    def _build(self, name: str, recipe: Recipe, progress: Progress) -> None:
        """Let the engine build upon the base image."""
        base = BASES.get(self.image, self.image)
        with tempfile.TemporaryDirectory() as folder:
            if (file := Path(self.image)).is_file():
                base = self._base()
                progress(f"building {file}")
                of_ours = f"--label={DIGEST}={_digest([self._source()])}"
                self._run_build(
                    [of_ours, "--tag", base, "--file", str(file), str(file.absolute().parent)]
                )
            progress(f"building the image upon {base}")
            context = Path(folder)
            for part in (recipe.base, recipe):
                if part:
                    customize(part, context / "tree")
            (context / "setup").write_text(setup(recipe))
            (context / "Containerfile").write_text(containerfile(base, _named(recipe, "")))
            self._run_build(["--tag", name, "--file", f"{context}/Containerfile", folder])
        self.prune(name)
        progress("the image is ready")

    def _run_build(self, arguments: Sequence[str]) -> None:
        command = commands.build(self.cli.program, fitness.limits(), arguments)
        try:
            self.cli.run(*command, seconds=BUILD_SECONDS)
        except ProviderError as error:
            raise HostError(
                f"the image could not be built: {error.message}",
                hint=f"{self.cli.program} build, or another [provider.local] image",
            ) from error

    def _source(self) -> str:
        """What the image is built upon: the name, or the text of a Containerfile."""
        file = Path(self.image)
        return file.read_text() if file.is_file() else self.image

    def _has_tree(self, recipe: Recipe) -> bool:
        """Whether mmdebstrap builds it here. It needs root, since the cache is root's."""
        return bool(recipe.release) and can_debootstrap()

    def _trees(self) -> Images:
        return Images(self.layout.cache, mmdebstrap)

    def _ours(self) -> list[Any]:
        ids = self.cli.run("images", "--quiet", "--no-trunc", f"--filter=label={DIGEST}").split()
        return self.cli.json("image", "inspect", *dict.fromkeys(ids)) if ids else []

    def _inspect(self, name: str) -> Any:
        """What the engine knows of an image; None when there is none."""
        return self.cli.json("image", "inspect", name)[0] if self._has(name) else None

    def _has(self, name: str) -> bool:
        return bool(self.cli.run("images", "--quiet", name).strip())


def can_debootstrap() -> bool:
    """Whether this user builds images with mmdebstrap."""
    import os

    return sys.platform == "linux" and os.geteuid() == 0 and bool(shutil.which("mmdebstrap"))


def setup(recipe: Recipe) -> str:
    """The script that adds what is missing to a base image."""
    debian = (*recipe.packages, *(recipe.base.packages if recipe.base else ()))
    extra = [name for name in recipe.packages if name == "cloud-init"]
    return _SETUP.format(
        programs=" ".join(extra), debian=shlex.join(debian), fedora=shlex.join([*_FEDORA, *extra])
    )


def containerfile(base: str, labels: Sequence[str]) -> str:
    """A Containerfile that makes a node's image of a base image."""
    return "\n".join(
        (
            f"FROM {base}",
            "USER root",
            *(f"LABEL {label}" for label in labels),
            "COPY setup /usr/lib/spotdeploy/setup",
            "RUN sh /usr/lib/spotdeploy/setup",
            "COPY tree /",
            "",
        )
    )


def _named(recipe: Recipe, built: str) -> list[str]:
    return [f"{DIGEST}={recipe.digest}", f"{_BUILT}={built}"]


def _labels(found: Any) -> dict[str, str]:
    return found.get("Labels") or (found.get("Config") or {}).get("Labels") or {}


def _made_at(found: Any) -> float:
    return datetime.fromisoformat(found["Created"]).timestamp()


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
