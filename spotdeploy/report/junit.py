"""junit.xml: a suite for each node, a case for each of its phases and checks.

Held to both schemas that readers of such files use: that of Jenkins' xUnit plugin and that of
Apache Ant. Evidence is linked in the way that attachments are named in a suite's output.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final

from junitparser import Element, Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from spotdeploy.report.model import RunReport
from spotdeploy.report.story import Lane, Story, Stretch

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
RUN_SUITE: Final = "run"


class _Output(Element):
    """A suite's output, which the schemas want even when empty."""

    _tag = "system-out"


class _Errors(_Output):
    _tag = "system-err"


def render(story: Story, report: RunReport) -> bytes:
    """The file's bytes."""
    xml = JUnitXml()
    suites = [_run_suite(story, report)]
    suites += [_node_suite(lane, story) for lane in story.lanes]
    for number, suite in enumerate(suites):
        _finish(suite, number, story)
        xml.append(suite)  # add_testsuite compares with every suite before
    return xml.tostring()  # type: ignore[no-any-return]  # bytes, though not annotated


def _run_suite(story: Story, report: RunReport) -> TestSuite:
    """One case for the run itself, so that a run without nodes fails too."""
    suite = TestSuite(RUN_SUITE)
    for name, value in (
        ("run", story.run),
        ("verdict", story.verdict),
        ("exit code", str(story.exit_code)),
        ("payload", story.digest),
        ("providers", " ".join(story.providers)),
        ("cost", str(report.cost)),
    ):
        suite.add_property(name, clean(value) or "-")
    case = _case(f"{story.command} of {story.deployment}", story.deployment, story.seconds)
    if story.verdict == "payload failed":
        case.result = [_result(Failure, story.verdict, story.message)]
    elif story.verdict != "passed":
        case.result = [_result(Error, story.verdict, story.message)]
    suite.add_testcase(case)
    _say(suite, "")
    suite.time = round(story.seconds, 3)
    return suite


def _node_suite(lane: Lane, story: Story) -> TestSuite:
    suite = TestSuite(clean(f"{lane.place} {lane.name}"))
    for name, value in (
        ("provider", lane.provider),
        ("location", lane.location),
        ("zone", lane.zone or ""),
        ("size", lane.size or ""),
        ("market", lane.market),
        ("verdict", lane.verdict),
        ("fate", lane.fate),
        ("evidence", lane.evidence.folder if lane.evidence else ""),
    ):
        suite.add_property(name, clean(value) or "-")
    classname = clean(f"{story.deployment}.{lane.provider}.{lane.name}")
    suite.add_testcases([*_phase_cases(lane, classname), *_check_cases(lane, story, classname)])
    _say(suite, f"[[ATTACHMENT|{lane.evidence.folder}/index.json]]" if lane.evidence else "")
    suite.time = round(max(0.0, lane.end - lane.start), 3)
    return suite


def _phase_cases(lane: Lane, classname: str) -> Iterable[TestCase]:
    """Each phase but the verification, whose cases are the checks, unless no check is to blame."""
    blamed = any(not answer.ok for answer in lane.checks)
    for phase in lane.phases or (Stretch("create", lane.start, lane.end, lane.passed),):
        case = _case(f"phase {phase.name}", classname, phase.seconds)
        if not phase.ok and not (phase.name == "verify" and blamed):
            kind = Failure if lane.verdict == "payload failed" else Error
            case.result = [_result(kind, lane.verdict or "unfinished", lane.detail or phase.detail)]
        yield case


def _check_cases(lane: Lane, story: Story, classname: str) -> Iterable[TestCase]:
    answers = {answer.name: answer for answer in lane.checks}
    for name in story.checks:
        answer = answers.get(name)
        case = _case(f"check {name}", classname, answer.seconds if answer else 0.0)
        if answer is None:
            case.result = [_result(Skipped, "not asked", f"the node ended in {lane.phase}")]
        elif not answer.settled:
            case.result = [_result(Skipped, "not settled", answer.detail)]
        elif not answer.ok:
            case.result = [_result(Failure, "check failed", answer.detail)]
        yield case


def _case(name: str, classname: str, seconds: float) -> TestCase:
    return TestCase(clean(name), clean(classname), round(max(0.0, seconds), 3))


def _result(
    kind: type[Failure | Error | Skipped], type_: str, message: str
) -> Failure | Error | Skipped:
    result = kind(clean(message), clean(type_))
    if kind is not Skipped:
        result.text = clean(message)
    return result


def _say(suite: TestSuite, text: str) -> None:
    output = _Output()
    output._elem.text = clean(text)  # noqa: SLF001  # junitparser has no other way to order them
    suite.append(output)
    suite.append(_Errors())


def _finish(suite: TestSuite, number: int, story: Story) -> None:
    """The attributes that Ant's schema wants."""
    seconds = suite.time
    suite.update_statistics()
    suite.time = seconds  # not the sum: checks run at the same time, within the phase
    suite.timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(story.start))
    suite.hostname = "localhost"
    for name, value in (("id", str(number)), ("package", clean(story.deployment))):
        suite._elem.set(name, value)  # noqa: SLF001  # it has no such properties


def clean(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry."""
    return _NOT_XML.sub("", text)
