"""GitHub Actions: a summary of the run on the job's page, and annotations for what failed.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import html
import itertools
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from spotdeploy.duration import spell
from spotdeploy.model import Verdict
from spotdeploy.report.html.findings import Finding, findings
from spotdeploy.report.html.matrix import Section, Total, matrix
from spotdeploy.report.model import BeforeReport, RunReport
from spotdeploy.text import plain

SUMMARY: Final = "GITHUB_STEP_SUMMARY"
ACTIONS: Final = "GITHUB_ACTIONS"
ANNOTATIONS: Final = 10
"""GitHub shows no more of one kind for a step."""
SIZE: Final = 200_000
"""Bytes of our part of a summary; GitHub takes 1 MiB for a step and drops all of a larger one."""


def asked(environment: Mapping[str, str]) -> bool:
    """True when the environment is GitHub's."""
    return environment.get(ACTIONS) == "true" or SUMMARY in environment


@contextmanager
def quoting(stream: TextIO, environment: Mapping[str, str]) -> Iterator[None]:
    """While the block prints what nodes said, none of it can act as a workflow command."""
    if environment.get(ACTIONS) != "true":
        yield
        return
    word = secrets.token_hex(16)
    stream.write(f"::stop-commands::{word}\n")
    stream.flush()
    try:
        yield
    finally:
        stream.write(f"::{word}::\n")
        stream.flush()


def tell(report: RunReport, folder: Path, stream: TextIO, environment: Mapping[str, str]) -> None:
    """Append the summary and print the annotations, where the environment asks for them.

    Raises OSError when the summary cannot be written.
    """
    found = findings(report, folder)
    if environment.get(ACTIONS) == "true":
        stream.writelines(f"{line}\n" for line in annotate(report, found))
        stream.flush()
    if path := environment.get(SUMMARY):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(report, found))


def annotate(report: RunReport, found: Iterable[Finding]) -> list[str]:
    """One error for what is left and for each kind of failure, or one for a run that failed as a
    whole."""
    errors = [annotation("error", _title(finding), _message(finding)) for finding in found]
    if report.left:
        text = _whole(("not proven gone:", *report.left), 2900)
        errors = [annotation("error", report.verdict, text), *errors]
    elif report.verdict is not Verdict.PASSED and not errors:
        errors = [annotation("error", report.verdict, report.message)]
    warnings = [annotation("warning", "spotdeploy", m.text) for m in report.marks if m.warning]
    return errors[:ANNOTATIONS] + warnings[:ANNOTATIONS]


def summary(report: RunReport, found: Iterable[Finding]) -> str:
    """The run in GitHub's Markdown, of HTML elements where text from nodes stands in it."""
    lines = [
        f"### {report.verdict.capitalize()}: {safe(report.command)} of {safe(report.deployment)}",
        "",
        f"{report.passed} of {report.desired} nodes passed in {spell(round(report.seconds))}. "
        f"Cost: {report.cost}. Run `{report.run}`.",
        "",
        *_table(report),
    ]
    for finding in found:
        names = ", ".join(node.name for node in finding.nodes[:20])
        lines += [
            f"<details><summary>{safe(_title(finding))}</summary>",
            f"<p>{safe(names)}</p><pre>{safe(_message(finding))}</pre></details>",
            "",
        ]
    if report.left:
        lines += [
            "<p>Not proven gone:</p>",
            f"<pre>{safe(_whole(report.left, SIZE // 2))}</pre>",
            "",
        ]
    elif not report.nodes and report.message:
        lines += [f"<pre>{safe(report.message)}</pre>", ""]
    lines += before(report.before)
    return "\n".join(lines).encode()[:SIZE].decode(errors="ignore") + "\n"


def before(tests: Iterable[BeforeReport]) -> list[str]:
    """What did not pass on this computer, or was not asked to, as a part of a summary."""
    lines = []
    for one in tests:
        if one.skipped:
            lines += [f"<p>Not run: <code>{safe(one.title)}</code> ({safe(one.message)})</p>", ""]
        elif not one.ok:
            head = f"<details><summary>{safe(one.title)}: {safe(one.message or one.how)}</summary>"
            lines += [head, f"<pre>{safe(one.output)}</pre></details>", ""]
    return lines


def _table(report: RunReport) -> list[str]:
    """Providers by checks, a table for each group; then the groups that were not deployed."""
    lines = [line for section in matrix(report) for line in _section(section, report)]
    for group in report.groups:
        if group.waited_for:
            lines += [f"<p>{safe(group.name)}: {safe(group.message)}</p>", ""]
    return lines


def _section(section: Section, report: RunReport) -> list[str]:
    heads = "".join(f"<th>{safe(name)}</th>" for name in section.checks)
    first = safe(section.group.name) if report.grouped else "Nodes"
    rows = [f"<table><tr><th>{first}</th><th>Passed</th>{heads}</tr>"]
    for block in section.blocks:
        cells = "".join(f"<td>{cell(total)}</td>" for total in block.totals)
        passed = f"{block.passed}/{block.nodes}"
        rows.append(f"<tr><td>{safe(block.provider)}</td><td>{passed}</td>{cells}</tr>")
    return [*rows, "</table>", ""]


def cell(total: Total) -> str:
    """A check in a table."""
    if not total.asked:
        return "not asked"
    return f"{'✅' if total.good == total.asked else '❌'} {total.good}/{total.asked}"


def _whole(lines: Sequence[str], limit: int) -> str:
    """As many of the lines as fit within `limit` characters, and how many more there are: a line
    that is cut may end in half a command."""
    ends = itertools.accumulate(len(line) + 1 for line in lines)
    fit = sum(end <= limit for end in ends)
    more = [f"and {len(lines) - fit} more, in report.html"] if fit < len(lines) else []
    return "\n".join([*lines[:fit], *more])


def _title(finding: Finding) -> str:
    return f"{finding.title}: {finding.who}"


def _message(finding: Finding) -> str:
    output = [
        f"{check.name}: {message}" for check in finding.checks for message, _ in check.messages
    ]
    return plain("\n".join(output or [message for message, _ in finding.messages]), limit=3000)


def annotation(kind: str, title: str, text: str) -> str:
    """A workflow command that shows a text on the job's page."""
    safe_title = _escaped(plain(title, limit=200)).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={safe_title}::{_escaped(plain(text, limit=3000))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def safe(text: str) -> str:
    """HTML on one line: after an empty line Markdown would begin again."""
    return html.escape(text).replace("\n", "&#10;")
