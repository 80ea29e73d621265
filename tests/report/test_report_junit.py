"""junit.xml, held to what the two schemas in use demand.

It is validated against junit-10.xsd of Jenkins' xUnit plugin, which is in pytest's source
distribution. The rules written down here are those of JUnit.xsd for Apache Ant besides; a document
that keeps both is valid under either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from junitparser import JUnitXml

from spotdeploy.model import Verdict
from spotdeploy.report import junit
from spotdeploy.report.model import build
from spotdeploy.report.run_store import read_report
from tests.report import samples
from tests.sdist import unpacked

SUITE_REQUIRED = {
    "name",
    "timestamp",
    "hostname",
    "tests",
    "failures",
    "errors",
    "time",
    "id",
    "package",
}
SUITE_ALLOWED = SUITE_REQUIRED | {"skipped"}
SUITE_ORDER = ["properties", "testcase", "system-out", "system-err"]
CASE_ATTRIBUTES = {"name", "classname", "time"}
RESULTS = {"failure", "error", "skipped"}
TOKEN = re.compile(r"\S(?:\S| (?! ))*")
MAKERS = (samples.passing, samples.payload_failure, samples.interruption, samples.cluster)
DECIMAL = re.compile(r"\d+(\.\d+)?")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def rendered(sample: samples.Sample, folder: Path) -> ET.Element:
    report = read_report(sample.write(folder))
    return ET.fromstring(junit.render(report))


def violations(root: ET.Element) -> list[str]:
    """What either schema would refuse."""
    wrong = [] if (root.tag, root.attrib) == ("testsuites", {}) else [f"root {root.attrib}"]
    for number, suite in enumerate(root):
        tags = [child.tag for child in suite]
        wrong += [f"suite {suite.attrib}"] if not suite_is_valid(suite, number) else []
        wrong += [f"order {tags}"] if tags != sorted(tags, key=SUITE_ORDER.index) else []
        wrong += [
            f"once {tag}" for tag in SUITE_ORDER if tag != "testcase" and tags.count(tag) != 1
        ]
        for prop in suite.findall("properties/property"):
            wrong += [] if set(prop.attrib) == {"name", "value"} else [f"property {prop.attrib}"]
        for case in suite.findall("testcase"):
            wrong += [] if case_is_valid(case) else [f"case {ET.tostring(case)!r}"]
    return wrong


def test_several_runs_are_a_suite_each_and_lead_to_their_evidence(tmp_path: Path) -> None:
    cells = [
        (f"run-{number}", read_report(sample().write(tmp_path / str(number))))
        for number, sample in enumerate((samples.passing, samples.payload_failure))
    ]
    root = ET.fromstring(junit.render_cells(cells))
    assert violations(root) == []
    assert [suite.get("name") for suite in root] == [report.deployment for _, report in cells]
    well, ill = (suite.findtext("system-out") or "" for suite in root)
    assert well == ""
    assert ill.startswith("[[ATTACHMENT|run-1/evidence/")
    assert int(root[1].get("failures", "0")) > 0


def suite_is_valid(suite: ET.Element, number: int) -> bool:
    return (
        suite.tag == "testsuite"
        and SUITE_REQUIRED <= set(suite.attrib) <= SUITE_ALLOWED
        and suite.get("id") == str(number)
        and STAMP.fullmatch(suite.get("timestamp", "")) is not None
        and DECIMAL.fullmatch(suite.get("time", "")) is not None
        and all(suite.get(name, "").isdigit() for name in ("tests", "failures", "errors"))
        and TOKEN.fullmatch(suite.get("name", "")) is not None
    )


def case_is_valid(case: ET.Element) -> bool:
    results = list(case)
    return (
        set(case.attrib) == CASE_ATTRIBUTES
        and DECIMAL.fullmatch(case.get("time", "")) is not None
        and TOKEN.fullmatch(case.get("name", "")) is not None
        and len(results) <= 1
        and all(one.tag in RESULTS and set(one.attrib) <= {"message", "type"} for one in results)
        and all("type" in one.attrib for one in results)
    )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("count", [3, 100])
def test_it_is_valid_under_both_schemas(
    make: Callable[[int], samples.Sample], count: int, tmp_path: Path
) -> None:
    root = rendered(make(count), tmp_path)
    assert violations(root) == []
    for suite in root:
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(unpacked("pytest", "/junit-10.xsd", "junit") / "junit-10.xsd")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("count", [3, 100])
def test_jenkins_own_schema_takes_it(
    schema: xmlschema.XMLSchema,
    make: Callable[[int], samples.Sample],
    count: int,
    tmp_path: Path,
) -> None:
    schema.validate(rendered(make(count), tmp_path))


def test_jenkins_own_schema_refuses_what_is_wrong(
    schema: xmlschema.XMLSchema, tmp_path: Path
) -> None:
    root = rendered(samples.passing(1), tmp_path)
    root[1].set("nonsense", "1")
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema.validate(root)


def test_the_rules_above_can_fail(tmp_path: Path) -> None:
    root = rendered(samples.passing(1), tmp_path)
    root[0].remove(root[0][-1])
    root[1].set("disabled", "0")
    root[1][1].set("time", "soon")
    assert len(violations(root)) >= 3


def test_there_is_a_case_for_each_node_and_check(tmp_path: Path) -> None:
    root = rendered(samples.passing(3), tmp_path)
    for check in samples.CHECKS:
        assert len(root.findall(f".//testcase[@name='check {check}']")) == 3
    classes = {case.get("classname") for case in root.iter("testcase")}
    assert "demo.aws.demo-aws-2" in classes


def test_a_failed_check_is_a_failure_and_its_evidence_is_linked(tmp_path: Path) -> None:
    root = rendered(samples.payload_failure(3), tmp_path)
    (suite,) = root.findall("testsuite[@name='aws us-west-2b demo-aws-2']")
    (failure,) = suite.findall(".//failure")
    assert failure.get("message") == samples.REFUSED_HEALTH
    assert (
        suite.findtext("system-out") == "[[ATTACHMENT|evidence/aws-demo-aws-2-0a1b2c/index.json]]"
    )
    values = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert values["evidence"] == "evidence/aws-demo-aws-2-0a1b2c"


def test_an_interruption_is_an_error_and_unasked_checks_are_skipped(tmp_path: Path) -> None:
    root = rendered(samples.interruption(3), tmp_path)
    (suite,) = root.findall("testsuite[@name='aws us-west-2b demo-aws-2']")
    (error,) = suite.findall(".//error")
    assert samples.TAKEN_BACK in str(error.get("message"))
    assert len(suite.findall(".//skipped")) == len(samples.CHECKS)


def test_a_run_without_nodes_fails_as_a_whole() -> None:
    sample = samples.Sample()
    sample.begin(3)
    sample.end(Verdict.REFUSED, 3, "no capacity\x00 anywhere \ud800")
    report = build(sample.events)
    root = ET.fromstring(junit.render(report))
    assert violations(root) == []
    (error,) = root.iter("error")
    assert error.get("message") == "no capacity anywhere "


def test_other_readers_of_such_files_read_it(tmp_path: Path) -> None:
    report = read_report(samples.payload_failure(3).write(tmp_path))
    parsed = JUnitXml.fromstring(junit.render(report))
    assert sum(suite.failures for suite in parsed) == 3


def test_what_had_to_pass_before_is_a_suite_of_its_own(schema: xmlschema.XMLSchema) -> None:
    root = ET.fromstring(junit.render(build(samples.failed_before().events)))
    assert violations(root) == []
    schema.validate(root)
    run, before = root
    assert (run.get("failures"), run.get("errors")) == ("1", "0")
    assert {key: before.get(key) for key in ("name", "tests", "failures", "skipped", "time")} == {
        "name": "before",
        "tests": "3",
        "failures": "1",
        "skipped": "1",
        "time": "2.0",
    }
    names = [(case.get("name"), case.get("classname")) for case in before.iter("testcase")]
    assert names == [
        *(("syntax", "demo.before"), ("pytest -q ...", "demo.before"), ("mypy", "demo.before")),
    ]
    (failure,) = before.iter("failure")
    assert (failure.text or "").endswith("  ]]> last")
    assert before.findtext("system-out") == "[[ATTACHMENT|before-2.log]]"


def test_it_comes_before_the_cells_of_a_matrix(schema: xmlschema.XMLSchema) -> None:
    report = build(samples.failed_before().events)
    root = ET.fromstring(junit.render_cells([("", report)], report.before, "demo"))
    assert violations(root) == []
    schema.validate(root)
    assert [suite.get("name") for suite in root] == ["before", "demo"]
