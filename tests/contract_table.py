"""The tables of promises kept, in `docs/contract.md` and `docs/contract-engines.md`.

`python -m tests.contract_table` runs the contract with every provider and every engine of local
machines, and writes the tables.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import junitparser

from spotdeploy.testing import ProviderContract

REPOSITORY = Path(__file__).parents[1]
TABLE = REPOSITORY / "docs/contract.md"
CONTRACTS = {
    "local": "tests/providers/local/test_local_contract.py::TestLocalContract",
    "aws": "tests/test_contracts.py::TestAws",
    "gcp": "tests/providers/gcp/test_gcp_contract.py::TestContract",
    "azure": "tests/test_contracts.py::TestAzure",
}
"""Provider to its contract's tests."""
ENGINE_TABLE = REPOSITORY / "docs/contract-engines.md"
_CONTAINERS = "tests/providers/local/test_local_container_contract.py"
ENGINES = {
    "nspawn": CONTRACTS["local"],
    "podman": f"{_CONTAINERS}::TestPodmanContract",
    "docker": f"{_CONTAINERS}::TestDockerContract",
}
"""Engine of local machines to its contract's tests."""
KEPT = "kept"
HEAD = """# What each provider promises, and keeps

Every provider is held to the promises of `spotdeploy/provider.py` by the same tests
(`spotdeploy.testing.ProviderContract`): `local` with real machines on one host, the clouds against
labs that are held to what each cloud publishes of its API. No test here has met a real cloud.

This page is written by `make contract` from a run in which no promise was broken. A number stands
where a promise could not be shown, and says why: `local`, for one, has no account, no quota and no
API whose calls could be counted.
"""

ENGINE_HEAD = """# What each engine of local machines promises, and keeps

The provider `local`, with each of its [engines](providers/local.md#engines), held to the same
promises as [every provider](contract.md), on one host, as root. Written by `make contract`.
"""

Kept = Mapping[str, Mapping[str, str]]
"""Provider to promise to "" when it was kept, else why it was not tried."""


@dataclass(frozen=True, slots=True)
class Section:
    """Promises that belong together."""

    title: str
    promises: tuple[str, ...]


class BrokenPromiseError(Exception):
    """A test of the contract failed: there is no table to write."""


def sections() -> list[Section]:
    """Every promise, as the contract's classes have them."""
    return [
        Section(part.__name__, tuple(name for name in vars(part) if name.startswith("test_")))
        for part in reversed(ProviderContract.__bases__)
    ]


def run(contracts: Mapping[str, str]) -> Kept:
    """Run the contract with every provider or engine. Raises BrokenPromiseError."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.xml")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "--numprocesses", "2"),
                *("-m", "campaign or not campaign"),
                *("--dist", "worksteal", f"--junitxml={results}", *contracts.values()),
            ],
            cwd=REPOSITORY,
            check=False,
        )
        if done.returncode != 0:
            raise BrokenPromiseError(f"pytest ended with {done.returncode}")
        return read(results, contracts)


def read(results: Path, contracts: Mapping[str, str]) -> Kept:
    """What a JUnit file says of each provider's promises."""
    found: dict[str, dict[str, str]] = {provider: {} for provider in contracts}
    classes = {_class_name(place): provider for provider, place in contracts.items()}
    for suite in junitparser.JUnitXml.fromfile(str(results)):
        for case in suite:
            why = [one.message for one in case.result if isinstance(one, junitparser.Skipped)]
            if len(why) < len(case.result):
                raise BrokenPromiseError(f"{case.classname} {case.name}")
            found[classes[case.classname]][case.name] = "; ".join(why)
    return found


def render(kept: Kept, head: str = HEAD) -> str:
    """The page."""
    reasons: dict[str, int] = {}
    tables = [line for section in sections() for line in _section(section, kept, reasons)]
    sums = [f"{sum(not why for why in kept[name].values())} of {len(kept[name])}" for name in kept]
    total = ["", _row("", kept), _rule(kept), _row("promises kept", sums)]
    notes = [f"{number}. {why}" for why, number in reasons.items()]
    return "\n".join([head.rstrip(), *total, *tables, "", "## Why not", "", *notes]) + "\n"


def _section(section: Section, kept: Kept, reasons: dict[str, int]) -> Iterator[str]:
    yield from ("", f"## {section.title}", "", _row("promise", kept), _rule(kept))
    for name in section.promises:
        cells = (_cell(promises[name], reasons) for promises in kept.values())
        yield _row(name.removeprefix("test_").replace("_", " "), cells)


def _cell(why: str, reasons: dict[str, int]) -> str:
    return f"({reasons.setdefault(why, len(reasons) + 1)})" if why else KEPT


def _row(first: str, others: Iterable[str]) -> str:
    return f"| {' | '.join((first, *others))} |"


def _rule(kept: Kept) -> str:
    return _row("---", ("---" for _ in kept))


def _class_name(place: str) -> str:
    file, _, name = place.partition("::")
    return f"{file.removesuffix('.py').replace('/', '.')}.{name}"


if __name__ == "__main__":
    for page, contracts, head in ((TABLE, CONTRACTS, HEAD), (ENGINE_TABLE, ENGINES, ENGINE_HEAD)):
        page.write_text(render(run(contracts), head), "utf-8")
        sys.stdout.write(f"wrote {page.relative_to(REPOSITORY)}\n")
