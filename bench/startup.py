"""How long `--help` and `list` take, beside other tools, each round giving every tool its turn.

`list` is asked in a project that each tool takes for its own, and reaches no network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from rows import Row, show, spread, users_environment

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".bench"
FASTER = 5.0
OURS = Path(sys.executable).with_name("spotdeploy")
FLOOR = "python -c pass"
HELP = {
    FLOOR: [sys.executable, "-c", "pass"],
    "spotdeploy --help": [OURS, "--help"],
    "amauo --help": [VENVS / "amauo/bin/amauo", "--help"],
    "molecule --help": [VENVS / "molecule/bin/molecule", "--help"],
    "tmt --help": [VENVS / "tmt/bin/tmt", "--help"],
    "ansible --help": [VENVS / "ansible/bin/ansible", "--help"],
    "sky --help": [VENVS / "skypilot/bin/sky", "--help"],
    "dstack --help": [VENVS / "dstack/bin/dstack", "--help"],
}
LIST = {
    "spotdeploy list": [OURS, "list"],
    "amauo list": [VENVS / "amauo/bin/amauo", "list"],
    "molecule list": [VENVS / "molecule/bin/molecule", "list"],
    "tmt plans ls": [VENVS / "tmt/bin/tmt", "plans", "ls"],
    "ansible-inventory --list": [VENVS / "ansible/bin/ansible-inventory", "-i", "hosts", "--list"],
}
"""`sky status` and `dstack ps` ask a server that must run first."""
MOST = {"spotdeploy --help": 6.5, "spotdeploy list": 11.0}
"""How many times a bare interpreter each may take; `list` has the provider local."""
PROJECT = {
    "spotdeploy.toml": 'deployment = "bench"\n',
    "config.yaml": "aws: {total_instances: 1}\nregions: [{us-west-2: {machine_type: t3.small}}]\n",
    "instances.json": '{"instances": [{"id": "i-1", "region": "us-west-2", "type": "t3.small"}]}',
    "molecule/default/molecule.yml": "driver: {name: default}\nplatforms: [{name: one}]\n",
    "molecule/default/converge.yml": "- hosts: all\n  tasks: []\n",
    ".fmf/version": "1\n",
    "one.fmf": "discover: {how: shell}\nexecute: {how: tmt}\nprovision: {how: local}\n",
    "hosts": "one\ntwo\nthree\n",
}


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of every command; one unmeasured round goes first, for the page cache."""
    seconds: dict[str, list[float]] = {name: [] for name in (HELP | LIST)}
    with tempfile.TemporaryDirectory() as folder:
        for path, content in PROJECT.items():
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for number in range(rounds + 1):
            for name, line in (HELP | LIST).items():
                took = once(line, Path(folder))
                if number:
                    seconds[name].append(took)
            print(f"  round {number} of {rounds}", flush=True)
    return seconds


def once(line: Sequence[str | Path], folder: Path) -> float:
    """Seconds of one command. Raises with what it said when it fails."""
    environment = users_environment() | {
        "HOME": str(folder / "home"),
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        "PATH": f"{Path(line[0]).parent}:{os.environ['PATH']}",
    }
    began = time.perf_counter()
    done = subprocess.run(
        line,
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return seconds


def group_rows(names: Sequence[str], seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    """The first of `names` is ours, the others are its peers."""
    middle = {name: 1000 * median(seconds[name]) for name in names}
    ours, *others = names
    fastest = min(others, key=lambda name: middle[name])
    ratio = middle[fastest] / middle[ours]
    goal = f"at least {FASTER:.0f}"
    return [_row(name, seconds[name]) for name in names] + [
        Row(f"{fastest} / {ours}", ratio, "times", goal, ratio >= FASTER)
    ]


def _row(name: str, seconds: Sequence[float]) -> Row:
    each = [1000 * taken for taken in seconds]
    return Row(name, median(each), "ms", "", None, spread(each))


def rows(rounds: int = 1) -> list[Row]:
    """Everything measured here."""
    seconds = measure(rounds)
    helps = [name for name in HELP if name != FLOOR]
    return [
        _row(FLOOR, seconds[FLOOR]),
        *group_rows(helps, seconds),
        *group_rows(list(LIST), seconds),
        *(_times_of_floor(name, most, seconds) for name, most in MOST.items()),
    ]


def _times_of_floor(name: str, most: float, seconds: Mapping[str, Sequence[float]]) -> Row:
    ratio = median(seconds[name]) / median(seconds[FLOOR])
    return Row(f"{name} / {FLOOR}", ratio, "times", f"at most {most:g}", ratio <= most)


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:])))
