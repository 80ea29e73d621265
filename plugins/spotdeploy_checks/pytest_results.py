"""What became of tests, read from the JUnit XML that pytest writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import ParseError

from junitparser import Error, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite
from junitparser.junitparser import Result

from spotdeploy.model import Node
from spotdeploy.text import plain

REASON_LINES: Final = 3
_UNCOLLECTED: Final = "collection failure"
_EXPLANATION: Final = "E "


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed."""

    name: str
    reason: str
    """A few lines at the most."""


@dataclass(frozen=True, slots=True)
class Results:
    """What became of all tests."""

    passed: int
    skipped: int
    failures: tuple[Failure, ...]
    uncollected: bool
    """Whether a file could not even be loaded."""

    @property
    def ran(self) -> int:
        """The tests that passed or failed."""
        return self.passed + len(self.failures)


def read(path: Path, node: Node) -> Results | None:
    """The results in a file; None when it is not there or is no JUnit XML. Blocks."""
    try:
        xml = JUnitXml.fromfile(str(path))
    except (OSError, ParseError, JUnitXmlError):
        return None
    cases = list(_cases(xml))
    bad = [(case, one) for case in cases if (one := _failure(case)) is not None]
    skipped = sum(any(isinstance(one, Skipped) for one in case.result) for case in cases)
    return Results(
        passed=len(cases) - len(bad) - skipped,
        skipped=skipped,
        failures=tuple(Failure(_name(case, node), reason(one)) for case, one in bad),
        uncollected=any(one.message == _UNCOLLECTED for _, one in bad),
    )


def reason(result: Result) -> str:
    """Why a test failed, in a few lines; of a file that could not be loaded, the error."""
    message = result.message or ""
    if isinstance(result, Error) and message == _UNCOLLECTED:
        lines = [line.strip() for line in (result.text or "").splitlines() if line.strip()]
        explained = [line[1:].strip() for line in lines if line.startswith(_EXPLANATION)]
        message = "\n".join(explained or lines[-REASON_LINES:])
    return "\n".join(plain(message, limit=400).splitlines()[:REASON_LINES])


def _cases(xml: JUnitXml | TestSuite) -> Iterator[TestCase]:
    for one in xml:
        if isinstance(one, TestCase):
            yield one
        else:
            yield from _cases(one)


def _failure(case: TestCase) -> Result | None:
    return next((one for one in case.result if not isinstance(one, Skipped)), None)


def _name(case: TestCase, node: Node) -> str:
    name = str(case.name).replace(f"[{node.name}]", "").replace(f"[{node.name}-", "[")
    return plain(name, limit=120)
