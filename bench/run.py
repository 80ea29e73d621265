"""Run the benchmarks and write docs/benchmarks.md from their results.

python bench/run.py [--only start,aws] [--rounds N] [--quick]

Each part runs in a process of its own and leaves its rows in .bench/results, so that one that fails
takes nothing from the others, and `--only` keeps what earlier runs found. `--quick` measures little
and writes .bench/quick.md instead.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peer_venvs
from document import Result, from_data, to_data, write
from rows import Row, show

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "bench/notes.toml"
PAGE = ROOT / "docs/benchmarks.md"


@dataclass(frozen=True)
class Part:
    """One benchmark: a module whose `rows(rounds)` measures."""

    title: str
    module: str
    rounds: int
    peers: tuple[str, ...] = ()
    quick: Mapping[str, Any] = field(default_factory=dict)
    """What `rows` is given besides when little is to be measured."""


PARTS = {
    "start": Part(
        "Start", "startup", 5, ("amauo", "ansible", "dstack", "molecule", "skypilot", "tmt")
    ),
    "aws": Part(
        "AWS: create and destroy", "aws_create_destroy", 3, ("amauo", "ansible"), {"sizes": (3,)}
    ),
    "local": Part("A cycle of local machines", "local_cycle", 3, ("molecule",), {"sizes": (1,)}),
    "grid": Part("Groups and cells", "grid", 1),
    "verify": Part("Verify", "verify", 3, ("ansible", "testinfra")),
    "shipping": Part("Shipping the payload", "shipping", 3, (), {"nodes": 2}),
    "bookkeeping": Part("The journal and the screen", "bookkeeping", 1),
}


def main() -> int:
    """Run what is asked for. Gives 1 when a part failed."""
    options = read_options()
    if options.part:
        return run_here(options.part, options.rounds, options.results, quick=options.quick)
    results = ROOT / ".bench" / ("quick" if options.quick else "results")
    results.mkdir(parents=True, exist_ok=True)
    chosen = [name for name in PARTS if name in options.only]
    peer_venvs.install(dict.fromkeys(peer for name in chosen for peer in PARTS[name].peers))
    failed = [name for name in chosen if not run_apart(name, options, results)]
    page = ROOT / ".bench/quick.md" if options.quick else PAGE
    page.write_text(write(collected(results), tomllib.loads(NOTES.read_text()), versions()))
    print(f"wrote {page}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=_names, default=list(PARTS), metavar="PART,...")
    parser.add_argument("--rounds", type=int, help="instead of each part's own number")
    parser.add_argument("--quick", action="store_true", help="one round of small sizes")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(PARTS)}")
    return names


def run_apart(name: str, options: argparse.Namespace, results: Path) -> bool:
    """Run a part in a process of its own; its result is in a file then, whatever became of it."""
    part, file = PARTS[name], results / f"{name}.json"
    file.unlink(missing_ok=True)
    rounds = options.rounds or (1 if options.quick else part.rounds)
    print(f"== {part.title}: {rounds} rounds", flush=True)
    line = [sys.executable, __file__, "--part", name, "--rounds", str(rounds)]
    line += ["--results", str(results), *(["--quick"] if options.quick else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # for the labs in tests/
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the peers were compiled when installed
    code = subprocess.run(line, cwd=ROOT, env=environment, check=False).returncode
    if not file.exists():
        save(file, Result(part.title, (), rounds, 0.0, now(), f"it ended with {code}"))
    return code == 0


def run_here(name: str, rounds: int, results: Path, *, quick: bool) -> int:
    """Run a part in this process. Gives 1 when it failed."""
    part, began = PARTS[name], time.monotonic()
    rows: Sequence[Row] = ()
    error = ""
    try:
        measure = importlib.import_module(part.module).rows
        rows = measure(rounds, **(part.quick if quick else {}))
    except Exception as problem:  # noqa: BLE001  # shown whole, and in short on the page
        traceback.print_exc()
        error = shortened(f"{type(problem).__name__}: {problem}")
    show(rows)
    seconds = time.monotonic() - began
    save(results / f"{name}.json", Result(part.title, tuple(rows), rounds, seconds, now(), error))
    return 1 if error else 0


def shortened(words: str) -> str:
    """Long words without their middle: what a tool printed last tells the most."""
    return words if len(words) < 2000 else f"{words[:300]}\n...\n{words[-1500:]}"


def save(file: Path, result: Result) -> None:
    """Write a result as data."""
    file.write_text(json.dumps(to_data(result), indent=1))


def collected(results: Path) -> dict[str, Result]:
    """The results that there are, in the parts' order."""
    files = {name: results / f"{name}.json" for name in PARTS}
    return {n: from_data(json.loads(f.read_text())) for n, f in files.items() if f.exists()}


def versions() -> dict[str, str]:
    """Of every peer that is installed."""
    names = sorted({peer for part in PARTS.values() for peer in part.peers})
    there = [name for name in names if (ROOT / ".bench" / name / "installed.txt").exists()]
    return {k: v for name in there for k, v in peer_venvs.versions(name).items()}


def now() -> str:
    """The time as the page shows it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


if __name__ == "__main__":
    sys.exit(main())
