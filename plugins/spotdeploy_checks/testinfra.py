"""`testinfra`: the user's own pytest-testinfra files pass on the node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from spotdeploy.check import Check, CheckResult, CheckSettings, Connection
from spotdeploy.duration import Duration
from spotdeploy.model import Manifest, Node
from spotdeploy.text import plain
from spotdeploy_checks.local import missing_here

if TYPE_CHECKING:
    from spotdeploy_checks.pytest_results import Results
    from spotdeploy_checks.pytest_run import Ran

DISTRIBUTION: Final = "pytest-testinfra"
NAMED: Final = 5
"""Failed tests that are shown with their reasons."""
_USAGE: Final = 4
_NO_TESTS: Final = 5


class InfraTestSettings(CheckSettings, frozen=True, kw_only=True):
    """The keys of a `testinfra` check. The tests run as root and must change nothing."""

    files: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Files, folders or single tests (`file.py::test_name`), relative to spotdeploy.toml."""
    timeout: Duration = Duration("2m")
    """For one run of all of them."""
    every: Duration = Duration("5s")

    def __post_init__(self) -> None:
        """Refuse empty names."""
        for index, file in enumerate(self.files):
            if not _path(file).strip():
                raise ValueError(f"files[{index}]: {file!r} names no file")


class InfraTestCheck(Check[InfraTestSettings]):
    """Run pytest in a process of its own; its commands go over the connection we already have, so
    that nobody logs in."""

    kind = "testinfra"
    Settings = InfraTestSettings

    def __init__(self, settings: InfraTestSettings, folder: Path = Path()) -> None:
        super().__init__(settings, folder)
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)

    def title(self) -> str:
        return f"testinfra {plain(', '.join(self.settings.files), limit=80)}"

    def files(self) -> Sequence[Path]:
        """Each conftest.py that pytest would read counts too."""
        named = [self.folder / Path(_path(file)).expanduser() for file in self.settings.files]
        above = (folder for path in named for folder in (path, *path.parents))
        inside = (folder for folder in above if folder.is_relative_to(self.folder))
        shared = [folder / "conftest.py" for folder in inside if folder.suffix != ".py"]
        return tuple(dict.fromkeys((*named, *shared)))

    def objection(self, manifest: Manifest) -> str:
        """Whatever this computer lacks."""
        del manifest
        if not any(metadata.distributions(name=DISTRIBUTION)):
            return f"{DISTRIBUTION} is not installed: pip install 'spotdeploy[testinfra]'"
        return missing_here("files", self.folder, map(_path, self.settings.files))

    async def run(self, node: Node, connection: Connection) -> CheckResult:
        if message := self.objection(connection.manifest):
            return self.failed(message, final=True)
        from spotdeploy_checks.pytest_run import PytestRun

        folder = self.folder.absolute()
        tests = tuple(str(folder / Path(file).expanduser()) for file in self.settings.files)
        async with self._turns:
            run = PytestRun(folder, tests, self.settings.timeout)
            return self._judged(await run.against(node, connection))

    def _judged(self, ran: Ran) -> CheckResult:
        results = ran.results
        if ran.exit_code is None:
            return self.failed(f"pytest did not end within {self.settings.timeout}{_tail(ran)}")
        if ran.exit_code == _NO_TESTS:
            return self.failed("pytest found no tests", final=True)
        if results is not None and results.failures:
            return self.failed(failed_words(results), final=results.uncollected)
        if results is None or ran.exit_code != 0:
            message = f"pytest ended with exit code {ran.exit_code}{_error(ran)}{_tail(ran)}"
            return self.failed(message, final=ran.exit_code == _USAGE)
        if not results.passed:
            return self.failed(f"no test ran: {results.skipped} were skipped")
        skipped = f", {results.skipped} skipped" if results.skipped else ""
        return self.passed(f"{_tests(results.passed)} passed{skipped}")


def failed_words(results: Results) -> str:
    """The count and the names in the first line, and then the reasons."""
    shown = results.failures[:NAMED]
    more = len(results.failures) - len(shown)
    names = ", ".join(one.name for one in shown) + (f" and {more} more" if more else "")
    if results.uncollected:
        first = f"pytest could not load {names}"
    else:
        first = f"{len(results.failures)} of {_tests(results.ran)} failed: {names}"
    return "\n".join([first, *(f"{one.name}: {one.reason}" for one in shown)])


def _tests(count: int) -> str:
    return f"{count} test{'s' if count != 1 else ''}"


def _error(ran: Ran) -> str:
    lines = plain(ran.output, limit=8000).splitlines()
    return next((f": {line[7:200]}" for line in lines if line.startswith("ERROR: ")), "")


def _tail(ran: Ran) -> str:
    lines = plain(ran.output, limit=8000).splitlines()
    return "".join(f"\n{line[:200]}" for line in lines[-10:])


def _path(file: str) -> str:
    return file.partition("::")[0]
