"""A new plugin's README, followed to the letter in a fresh venv, wherever spotdeploy came from.

The venvs see this environment's packages, except spotdeploy itself and what is called by its
command, so that little more is installed in them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 240.0


@dataclass(frozen=True)
class Site:
    """A wheel of ours, and the packages that it needs."""

    wheel: Path
    packages: Path

    def venv(self, folder: Path, *options: str) -> Path:
        """A venv that has these packages. Gives its interpreter."""
        do(folder.parent, sys.executable, "-m", "venv", *options, folder)
        self.give(folder)
        return folder / "bin" / "python"

    def give(self, venv: Path) -> None:
        """Let a venv see the packages."""
        (where,) = venv.glob("lib/python*/site-packages")
        (where / "packages.pth").write_text(f"{self.packages}\n")


def do(folder: Path, *command: str | Path, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    base = tmp_path_factory.mktemp("scaffold-installs")
    ours, pip = Path(__file__).parents[2], (sys.executable, "-m", "pip")
    do(base, *pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", base / "dist", ours)
    (base / "packages").mkdir()
    for one in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not re.match(r"_*(editable_)?_*spotdeploy|pip(-|$)|_?pytest(-|$)", one.name):
            (base / "packages" / one.name).symlink_to(one)
    (wheel,) = (base / "dist").iterdir()
    return Site(wheel, base / "packages")


@pytest.mark.parametrize("origin", ["checkout", "wheel", "release"])
def test_the_readme_of_a_new_plugin_can_be_followed(
    site: Site, origin: str, tmp_path: Path, repository: Path
) -> None:
    places = {"checkout": ("-e", repository), "wheel": (site.wheel,), "release": ("spotdeploy",)}
    release = {"PIP_FIND_LINKS": str(site.wheel.parent)} if origin == "release" else {}
    python = site.venv(tmp_path / "first", "--without-pip")
    pip = (sys.executable, "-m", "pip", "--python", python)
    do(tmp_path, *pip, "install", "--quiet", *places[origin], **release)
    do(tmp_path, python, "-m", "spotdeploy", "plugins", "new", "tiny", "--bare")

    folder = tmp_path / "spotdeploy-tiny"
    readme = (folder / "README.md").read_text()
    make, *others = re.findall(r"^    (\S.*?)(?:   +#.*)?$", readme, re.MULTILINE)
    do(folder, "sh", "-ec", make)
    site.give(folder / ".venv")
    commands = "\n".join([make, *others])
    chosen = {"PYTEST_ADDOPTS": "-k 'nodes_lists_what_was_created or name_is_lower'"}
    told = do(folder, "sh", "-ec", commands, **release, **chosen)

    assert len(re.findall(r"\b2 passed", told)) == 2, told
    where = "import spotdeploy, spotdeploy_tiny; print(spotdeploy.__file__)"
    there = Path(do(folder, folder / ".venv/bin/python", "-c", where).strip())
    assert there.is_relative_to(repository if origin == "checkout" else folder / ".venv")
