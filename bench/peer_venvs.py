"""The tools that are measured beside spotdeploy: each in a virtual environment of its own.

`bench/peers/NAME.txt` says what is installed in `.bench/NAME`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench/peers"
VENVS = ROOT / ".bench"


def install(names: Iterable[str]) -> None:
    """Install what is missing or was asked for in other versions. Says why when that fails; what
    is measured with it fails then."""
    for name in names:
        wanted = PEERS / f"{name}.txt"
        venv, done = VENVS / name, VENVS / name / "installed.txt"
        if done.exists() and done.read_text() == wanted.read_text():
            continue
        print(f"installing {name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--requirement", wanted]
        if subprocess.run(pip, check=False).returncode == 0:
            done.write_text(wanted.read_text())
        else:
            print(f"{name} could not be installed", flush=True)


def versions(name: str) -> dict[str, str]:
    """Of the packages that a peer's file names, those that are installed."""
    lines = (PEERS / f"{name}.txt").read_text().split()
    wanted = {line.partition("==")[0] for line in lines}
    (site,) = (VENVS / name / "lib").glob("python*/site-packages")
    found = {each.metadata["Name"]: each.version for each in distributions(path=[str(site)])}
    return {package: found[package] for package in sorted(wanted & found.keys())}
