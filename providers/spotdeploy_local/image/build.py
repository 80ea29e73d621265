"""Building an image with mmdebstrap, from the packages that the host's own apt is set up for: no
mirror is named anywhere else."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from spotdeploy.errors import HostError
from spotdeploy_local.engine import Progress
from spotdeploy_local.image.recipe import Recipe
from spotdeploy_local.image.releases import RELEASES

_FORMAT = "$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"
_NOT_FOR_IMAGES = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::CompressionTypes")
_LAST_LINES = 15
_KEY_PACKAGES = {
    "debian": "debian-archive-keyring",
    "ubuntu": "ubuntu-keyring (in Debian from 13 on)",
}
KEYS = Path("/usr/share/keyrings")
"""Where distributions put the keys of their archives, their own and those of others."""
_CONFINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""A builder, what it started and what it mounted end with this process, however that ends."""

Command = Callable[[Recipe, Path, Path | None], list[str]]
"""Gives the command that fills a folder with a recipe's packages, from a base tree or none."""


def mmdebstrap(recipe: Recipe, tree: Path, base: Path | None) -> list[str]:
    """The command for this host: its own apt options, and its mirror where it is of the same
    distribution."""
    codename, sources = apt_sources(recipe.release)
    return mmdebstrap_command(recipe, tree, base, codename, sources, apt_options())


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


def run_build(command: list[str], progress: Progress) -> None:
    """Run the command and pass its steps on; it ends with this process.

    Raises HostError with the last lines of its output.
    """
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        [*_CONFINED, *command],
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


def apt_sources(image: str) -> tuple[str, str]:
    """The code name of an image's release, and its `sources.list` text: the host's own mirrors,
    with the image's release in the place of the host's. Empty, for mmdebstrap's own choice, where
    the host has another distribution.

    Third parties' repositories are left out. Raises HostError when apt knows none, and when this
    host has no keys of the image's distribution.
    """
    distribution, codename = RELEASES[image]
    host = platform.freedesktop_os_release()
    if host.get("ID") != distribution:
        _require_keys(image, distribution)
        return codename, ""
    targets = _output(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"])
    own = host.get("VERSION_CODENAME", "")
    text = source_lines(targets, distribution, own)
    if not text:
        raise HostError(f"apt has no package lists of {distribution} {own}", hint="apt-get update")
    return codename, text.replace(f" {own}", f" {codename}")


def _require_keys(image: str, distribution: str, folder: Path = KEYS) -> None:
    if not (folder / f"{distribution}-archive-keyring.gpg").is_file():
        raise HostError(
            f"the image {image} needs the archive keys of {distribution} on this host",
            hint=f"install {_KEY_PACKAGES[distribution]}, or choose another [provider.local] image",
        )


def source_lines(targets: str, distribution: str, codename: str) -> str:
    """The `sources.list` lines for one release of one distribution, from `apt-get indextargets`."""
    components: dict[tuple[str, str], list[str]] = {}
    for line in targets.splitlines():
        uri, suite, code, component, origin = line.split("|")
        if origin.lower() == distribution and code.split("-")[0] == codename:
            known = components.setdefault((uri, suite), [])
            known += [component] if component not in known else []
    return "".join(
        f"deb {uri} {suite} {' '.join(names)}\n" for (uri, suite), names in components.items()
    )


def apt_options() -> list[str]:
    """The host's ways to fetch packages (proxies, checks), as apt.conf lines."""
    lines = _output(["apt-config", "dump", "Acquire"]).splitlines()
    return [
        line for line in lines if not line.startswith(_NOT_FOR_IMAGES) and not line.endswith(' "";')
    ]


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise HostError(
            f"{command[0]} is missing: images are built from Debian's packages",
            hint="run on Debian or Ubuntu",
        ) from error
    except subprocess.CalledProcessError as error:
        raise HostError(f"{' '.join(command)} failed: {error.stderr.strip()}") from error


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _failure(tool: str, code: int, lines: Sequence[str]) -> HostError:
    text = "\n".join(f"  {line}" for line in lines)
    if any(os.strerror(errno.ENOSPC) in line for line in lines):
        return HostError(f"the disk is full: {tool} failed with\n{text}", hint="free some space")
    return HostError(
        f"the image could not be built: {tool} ended with code {code} and\n{text}",
        hint="apt-get update",
    )
