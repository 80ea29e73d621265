"""junit.xml: a suite for each node, a case for each of its phases and checks.

Where the config names groups, each has a suite as well, with a case for the group itself: it fails
when the group does, and is skipped when the group was not deployed. The group is a part of the
class names then, by which Jenkins folds cases into packages.

Held to both schemas that readers of such files use: that of Jenkins' xUnit plugin and that of
Apache Ant. Evidence is linked in the way that attachments are named in a suite's output.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import Final

from junitparser import Element, Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from spotdeploy.model import Verdict
from spotdeploy.report.model import BeforeReport, GroupReport, NodeReport, RunReport, Span

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
RUN_SUITE: Final = "run"
BEFORE_SUITE: Final = "before"


class _Output(Element):
    """A suite's output, which the schemas want even when empty."""

    _tag = "system-out"


class _Errors(_Output):
    _tag = "system-err"


def render(report: RunReport) -> bytes:
    """The file's bytes."""
    suites = [_run_suite(report), *_before_suites(report.before, report.deployment)]
    suites += [_group_suite(one, report) for one in report.groups if report.grouped]
    suites += [_node_suite(node, report) for node in report.nodes]
    return _document([(suite, report) for suite in suites])


def render_cells(
    cells: Iterable[tuple[str, RunReport]],
    before: Sequence[BeforeReport] = (),
    deployment: str = "",
) -> bytes:
    """The file's bytes for several runs: a suite for each, with the cases of all its nodes. Each
    comes with its folder, relative to the file's. `before` is what had to pass before any began,
    and `deployment` the config's name."""
    cells = list(cells)
    suites = [(_cell_suite(folder, report), report) for folder, report in cells]
    tests = [(suite, cells[0][1]) for suite in _before_suites(before, deployment) if cells]
    return _document([*tests, *suites])


def _document(suites: Iterable[tuple[TestSuite, RunReport]]) -> bytes:
    xml = JUnitXml()
    for number, (suite, report) in enumerate(suites):
        _finish(suite, number, report)
        xml.append(suite)  # add_testsuite compares with every suite before
    return xml.tostring()  # type: ignore[no-any-return]  # bytes, though not annotated


def _cell_suite(folder: str, report: RunReport) -> TestSuite:
    suite = _begin_suite(clean(report.deployment), report)
    for group in report.groups if report.grouped else ():
        suite.add_testcase(_group_case(group, report))
    for node in report.nodes:
        suite.add_testcases(_node_cases(node, report))
    kept = [node.evidence for node in report.nodes if node.evidence]
    _say(suite, "\n".join(f"[[ATTACHMENT|{folder}/{one}/index.json]]" for one in kept))
    suite.time = round(report.seconds, 3)
    return suite


def _run_suite(report: RunReport) -> TestSuite:
    suite = _begin_suite(RUN_SUITE, report)
    _say(suite, "")
    suite.time = round(report.seconds, 3)
    return suite


def _begin_suite(name: str, report: RunReport) -> TestSuite:
    """One case for the run itself, so that a run without nodes fails too."""
    suite = TestSuite(name)
    for name, value in (
        ("run", report.run),
        ("verdict", report.verdict),
        ("exit code", str(report.exit_code)),
        ("payload", report.digest),
        ("providers", " ".join(report.providers)),
        ("cost", str(report.cost)),
    ):
        suite.add_property(name, clean(value) or "-")
    case = _case(f"{report.command} of {report.deployment}", report.deployment, report.seconds)
    case.result = _verdict_result(report.verdict, report.message)
    suite.add_testcase(case)
    return suite


def _verdict_result(verdict: Verdict, message: str) -> list[FinalResult]:
    if verdict is Verdict.PASSED:
        return []
    kind = Failure if verdict in (Verdict.PAYLOAD_FAILED, Verdict.TESTS_FAILED) else Error
    return [_result(kind, verdict, message)]


def _before_suites(before: Sequence[BeforeReport], deployment: str) -> list[TestSuite]:
    """One suite with a case for each thing that had to pass before; none where nothing had to."""
    if not before:
        return []
    suite = TestSuite(BEFORE_SUITE)
    suite.add_property("tests", str(len(before)))
    suite.add_testcases([_before_case(one, deployment) for one in before])
    _say(suite, "\n".join(f"[[ATTACHMENT|{one.log}]]" for one in before if one.log))
    suite.time = round(sum(one.seconds for one in before), 3)
    return [suite]


def _before_case(one: BeforeReport, deployment: str) -> TestCase:
    case = _case(" ".join(one.title.split()), f"{deployment}.{BEFORE_SUITE}", one.seconds)
    if one.skipped:
        case.result = [_result(Skipped, one.how, one.message)]
    elif not one.ok:
        result = _result(Error if one.ok is None else Failure, one.how, one.message)
        result.text = clean(f"{one.message}\n{one.output}")
        case.result = [result]
    return case


def _group_suite(group: GroupReport, report: RunReport) -> TestSuite:
    """One case for a group itself, so that one without nodes is seen too."""
    suite = TestSuite(clean(f"group {group.name}"))
    for name, value in (
        ("group", group.name),
        ("after", " ".join(group.after)),
        ("verdict", group.verdict or ""),
        ("passed", f"{group.passed} of {group.desired}"),
        ("quorum", str(group.quorum)),
        ("payload", group.digest),
        ("cost", str(group.cost)),
    ):
        suite.add_property(name, clean(value) or "-")
    case = _group_case(group, report)
    suite.add_testcase(case)
    _say(suite, "")
    suite.time = case.time
    return suite


def _group_case(group: GroupReport, report: RunReport) -> TestCase:
    nodes = report.nodes_of(group.name)
    seconds = max((n.end for n in nodes), default=0.0) - min((n.start for n in nodes), default=0.0)
    case = _case(f"group {group.name}", f"{report.deployment}.{group.name}", seconds)
    if group.verdict is None:
        why = group.message or f"the run ended first: {report.message}"
        case.result = [_result(Skipped, "not deployed" if group.waited_for else "unfinished", why)]
    else:
        case.result = _verdict_result(group.verdict, group.message)
    return case


def _node_suite(node: NodeReport, report: RunReport) -> TestSuite:
    group = node.group if report.grouped else ""
    suite = TestSuite(clean(f"{group} {node.place} {node.name}".lstrip()))
    for name, value in (
        *((("group", group),) if group else ()),
        ("provider", node.provider),
        ("location", node.location),
        ("zone", node.zone or ""),
        ("size", node.size or ""),
        ("market", node.market),
        ("verdict", node.verdict or ""),
        ("fate", node.fate or ""),
        ("evidence", node.evidence),
    ):
        suite.add_property(name, clean(value) or "-")
    suite.add_testcases(_node_cases(node, report))
    _say(suite, f"[[ATTACHMENT|{node.evidence}/index.json]]" if node.evidence else "")
    suite.time = round(max(0.0, node.end - node.start), 3)
    return suite


def _node_cases(node: NodeReport, report: RunReport) -> list[TestCase]:
    group = (node.group,) if report.grouped else ()
    classname = clean(".".join((report.deployment, *group, node.provider, node.name)))
    return [*_phase_cases(node, classname), *_check_cases(node, report, classname)]


def _phase_cases(node: NodeReport, classname: str) -> Iterable[TestCase]:
    """Each phase but the verification, whose cases are the checks, unless no check is to blame."""
    blamed = any(not answer.ok for answer in node.checks)
    for phase in node.phases or (Span("create", node.start, node.end, node.passed),):
        case = _case(f"phase {phase.name}", classname, phase.seconds)
        if not phase.ok and not (phase.name == "verify" and blamed):
            kind = Failure if node.verdict is Verdict.PAYLOAD_FAILED else Error
            case.result = [
                _result(kind, node.verdict or "unfinished", node.message or phase.detail)
            ]
        yield case


def _check_cases(node: NodeReport, report: RunReport, classname: str) -> Iterable[TestCase]:
    answers = {answer.name: answer for answer in node.checks}
    for name in report.group_of(node).checks:
        answer = answers.get(name)
        case = _case(f"check {name}", classname, answer.seconds if answer else 0.0)
        if answer is None:
            case.result = [_result(Skipped, "not asked", f"the node ended in {node.phase}")]
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


def _finish(suite: TestSuite, number: int, report: RunReport) -> None:
    """The attributes that Ant's schema wants."""
    seconds = suite.time
    suite.update_statistics()
    suite.time = seconds  # not the sum: checks run at the same time, within the phase
    suite.timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(report.started_at))
    suite.hostname = "localhost"
    for name, value in (("id", str(number)), ("package", clean(report.deployment))):
        suite._elem.set(name, value)  # noqa: SLF001  # it has no such properties


def clean(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry."""
    return _NOT_XML.sub("", text)
