"""report.html as text: self-contained, escaped, complete. How it looks is for the browser tests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

from spotdeploy.events import (
    BeforeEnded,
    BeforeStarted,
    NodeCreated,
    NodeEnded,
    RunEnded,
    RunStarted,
)
from spotdeploy.model import Node, NodeState, Verdict
from spotdeploy.report.html.page import render
from spotdeploy.report.model import build
from spotdeploy.report.run_store import read_events, read_report
from spotdeploy.report.writer import write_reports
from spotdeploy.run.verdict import Outcome, Receipt
from tests.report import samples

VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}
EVERY = [
    samples.passing,
    samples.payload_failure,
    samples.interruption,
    samples.failed_before,
]


class Page(HTMLParser):
    """Elements, links, ids; and every tag that was not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def values(self, name: str) -> list[str]:
        return [str(attrs[name]) for _, attrs in self.elements if attrs.get(name)]


def page_of(sample: samples.Sample, folder: Path) -> str:
    written = sample.write(folder)
    report = read_report(written)
    return render(report, written)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("count", [3, 100])
def test_the_page_is_well_formed_and_asks_for_nothing(
    make: Callable[[int], samples.Sample], count: int, tmp_path: Path
) -> None:
    text = page_of(make(count), tmp_path)
    page = Page(text)
    assert (page.open, page.wrong) == ([], [])
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not page.values("src")
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert not [name for _, attrs in page.elements for name in attrs if name == "style"]
    assert not [link for link in page.values("href") if urlsplit(link).scheme]
    assert "url(http" not in text
    assert "@import" not in text


def test_nothing_but_its_own_style_may_load(tmp_path: Path) -> None:
    text = page_of(samples.passing(), tmp_path)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = [
        attrs["content"]
        for tag, attrs in Page(text).elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("make", EVERY)
def test_every_link_leads_somewhere(make: Callable[[int], samples.Sample], tmp_path: Path) -> None:
    sample = make(3)
    page = Page(page_of(sample, tmp_path))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        if link.startswith("#"):
            assert link[1:] in ids
        else:
            assert (tmp_path / sample.run / unquote(link)).is_file()
    for reference in (
        *page.values("aria-labelledby"),
        *re.findall(r"url\(#(.*?)\)", str(page.values("fill"))),
    ):
        assert reference in ids


def test_what_failed_before_is_told_with_the_end_of_what_it_wrote(tmp_path: Path) -> None:
    folder = samples.failed_before().write(tmp_path)
    assert write_reports(folder) == []
    text = (folder / "report.html").read_text()
    assert "Tests failed" in text
    assert "<details open><summary>pytest   -q ...</summary>" in text
    assert "a &lt;b&gt;\n" in text
    assert "]]&gt; last</pre>" in text
    assert "before-2.log" in Page(text).values("href")
    assert (folder / "before-2.log").is_file()


def test_of_our_own_check_nothing_is_told_while_it_passes(tmp_path: Path) -> None:
    sample = samples.passing(1)
    sample.events.insert(1, BeforeStarted(number=1, command="syntax"))
    sample.events.insert(2, BeforeEnded(number=1, ok=True, seconds=0.1))
    assert "Before" not in page_of(sample, tmp_path)
    assert [one.ok for one in read_report(tmp_path / sample.run).before] == [True]


def test_links_lead_from_where_the_page_lies(tmp_path: Path) -> None:
    folder = samples.payload_failure().write(tmp_path / "runs")
    report = read_report(folder)
    target = tmp_path / "elsewhere" / "my report.html"
    target.parent.mkdir()
    page = Page(render(report, folder, target))
    links = [link for link in page.values("href") if not link.startswith("#")]
    assert links
    assert all((target.parent / unquote(link)).is_file() for link in links)


def test_what_nodes_and_clouds_say_is_never_markup(tmp_path: Path) -> None:
    evil = '</title></style><script>alert(1)</script><img src=x onerror="alert(2)">'
    sample = samples.Sample(checks=(f"check {evil}",), run="20251124-190000-e11111")
    sample.begin(1)
    sample.offer("aws", 1, 0, f"capacity {evil}")
    sample.node("demo-1", bad=(f"check {evil}",), stop_in="verify")
    sample.events = [
        msgspec.structs.replace(event, name=evil)
        if isinstance(event, NodeCreated)
        else msgspec.structs.replace(event, detail=evil)
        if isinstance(event, NodeEnded)
        else event
        for event in sample.events
    ]
    sample.end(Verdict.PAYLOAD_FAILED, 1, evil)
    text = page_of(sample, tmp_path)
    assert evil not in text
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_evidence_that_tells_most_is_open_and_bounded(tmp_path: Path) -> None:
    text = page_of(samples.payload_failure(), tmp_path)
    opened = re.findall(r"<details open><summary>(.*?) <small>", text)
    assert "the output of the payload&#39;s entry" in opened
    assert "step 219: configured unit 219" in text
    assert "step 3: configured unit 3\n" not in text


def test_each_kind_of_failure_is_told_at_the_top_and_leads_to_its_evidence(tmp_path: Path) -> None:
    text = page_of(samples.payload_failure(100), tmp_path)
    top, _, rest = text.partition("<main")
    assert "<b>4 nodes</b> payload failed in verify: http :8081/health: connection refused" in top
    assert "<b>demo-aws-3</b> payload failed in deploy: the entry exited with 7" in top
    for number in (1, 2):
        assert f'href="#failure-{number}"' in top
        assert f'id="failure-{number}"' in rest


def test_an_interruption_that_was_replaced_is_told_once_under_a_passed_run(tmp_path: Path) -> None:
    text = page_of(samples.interruption(3), tmp_path)
    top = text.partition("<main")[0]
    assert f"<b>demo-aws-2</b> interrupted during deploy: {samples.TAKEN_BACK}" in top
    assert "<details open><summary>what the payload" not in text


def test_the_journal_of_the_unit_that_a_check_blames_is_open(tmp_path: Path) -> None:
    sample = samples.Sample(run="20251124-190000-aaaaaa")
    sample.begin(1)
    sample.node("demo-1", bad=samples.CHECKS[:1])
    sample.end(Verdict.PAYLOAD_FAILED, 1, "it failed")
    folder = sample.write(tmp_path)
    (place,) = (folder / "evidence").iterdir()
    index = json.loads((place / "index.json").read_text())
    for file, problem in (
        ("units.txt", ""),
        ("journal-bacalhau.service.txt", "Access denied"),
        ("journal-sensor-generator.service.txt", ""),
    ):
        (place / file).write_text(f"this is {file}")
        title = f"title of {file}"
        item = {"file": file, "title": title, "bytes": 9, "complete": True, "problem": problem}
        index.append(item)
    (place / "index.json").write_text(json.dumps(index))
    text = render(read_report(folder), folder)
    opened = re.findall(r"<details open><summary>(title.*?|what.*?) <small>", text)
    assert opened == ["title of journal-sensor-generator.service.txt"]


def test_words_that_differ_by_their_moment_only_are_told_once(tmp_path: Path) -> None:
    sample = samples.Sample(run="20251124-190000-bbbbbb")
    sample.begin(2)
    for number in (1, 2):
        message = f"the entry exited with 1: 2026-11-25T17:41:0{number}.820Z FAILED: no disk"
        sample.node(f"demo-{number}", stop_in="deploy", message=message)
    sample.end(Verdict.PAYLOAD_FAILED, 1, "both")
    text = page_of(sample, tmp_path)
    assert "the entry exited with 1: FAILED: no disk <small>2 times</small>" in text


def test_clouds_stand_side_by_side_when_there_are_several(tmp_path: Path) -> None:
    text = page_of(samples.interruption(50, ("aws", "gcp")), tmp_path / "two")
    (row,) = re.findall(r'<tr><th scope="row"><span class="tick \w+"></span>gcp</th>.*?</tr>', text)
    numbers = re.findall(r'<td class="num">(.*?)</td>', row)
    assert numbers[:3] == ["48", "50", "2"]
    assert numbers[-1] == "unknown"
    assert "Clouds side by side" not in page_of(samples.passing(3), tmp_path / "one")


def test_what_clouds_share_is_asked_of_none_of_them_alone(tmp_path: Path) -> None:
    sample = samples.interruption(50, ("aws", "gcp"))
    sample.events = [
        msgspec.structs.replace(one, shared=True) if isinstance(one, RunStarted) else one
        for one in sample.events
    ]
    text = page_of(sample, tmp_path / "shared")
    (row,) = re.findall(
        r'<tr><th scope="row"><span class="tick good"></span>gcp</th>.*?</tr>', text
    )
    assert re.findall(r'<td class="num">(.*?)</td>', row)[:3] == ["48", "\N{EN DASH}", "2"]


def test_verdict_cost_and_what_is_left_are_told(tmp_path: Path) -> None:
    folder = samples.passing().write(tmp_path)
    marks = {"spotdeploy-expires": "1764000000"}
    node = Node("i-1", "demo-kept-1", "aws", "us-west-2", NodeState.RUNNING, marks)
    receipt = Receipt(destroyed=(node,), listings=2, seconds=7.5)
    outcome = Outcome("r", "demo", Verdict.PASSED, receipts=(receipt,), kept=(node,))
    text = render(build(read_events(folder)[0], outcome), folder)
    assert "<title>Passed: demo" in text
    assert "1 node and 0 other things ended in 7.5s; then 2 listings in a row" in text
    assert "Still running: demo-kept-1. They end themselves by 2025-11-24 16:00:00 UTC. End" in text
    assert "$0.00" in text


def test_a_run_that_was_refused_or_killed_has_a_page_too(tmp_path: Path) -> None:
    sample = samples.Sample()
    sample.begin(3)
    killed = page_of(sample, tmp_path / "killed")
    assert "Never finished" in killed
    sample.end(Verdict.REFUSED, 3, "no capacity anywhere")
    refused = page_of(sample, tmp_path / "refused")
    assert "Refused" in refused
    assert "no capacity anywhere" in refused


def test_an_empty_story_has_a_page(tmp_path: Path) -> None:
    report = build([RunEnded(at=1.0, run="r", verdict=Verdict.PASSED, exit_code=0)])
    assert Page(render(report, tmp_path)).wrong == []


def test_everything_that_scrolls_or_opens_is_reached_by_keyboard(tmp_path: Path) -> None:
    text = page_of(samples.payload_failure(100, ("aws", "gcp")), tmp_path)
    body = text.partition("<body>")[2]
    scrolling = re.findall(r'<div class="(?:scroll|tail)"[^>]*>', body)
    assert len(scrolling) > 5
    for tag in scrolling:
        assert 'tabindex="0" role="region" aria-label="' in tag
    assert re.findall(r"<a\b[^>]*>", body)[0] == '<a class="skip" href="#main">'
    assert [tag for tag in re.findall(r"<a\b[^>]*>", body) if "href=" not in tag] == []
    assert body.count("<details") == body.count("<summary")
    assert "onclick" not in body
    assert ":focus-visible" in text
