"""GitHub Actions: a summary of a matrix on the job's page, and an annotation for each cell that
failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from spotdeploy.duration import spell
from spotdeploy.matrix.page import totals
from spotdeploy.matrix.report import MatrixReport
from spotdeploy.model import Verdict
from spotdeploy.report import github
from spotdeploy.report.github import annotation, cell, safe
from spotdeploy.text import plain


def tell(report: MatrixReport, stream: TextIO, environment: Mapping[str, str]) -> None:
    """Append the summary and print the annotations, where the environment asks for them.

    Raises OSError when the summary cannot be written.
    """
    if environment.get(github.ACTIONS) == "true":
        stream.writelines(f"{line}\n" for line in annotate(report))
        stream.flush()
    if path := environment.get(github.SUMMARY):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary(report))


def annotate(report: MatrixReport) -> list[str]:
    """One error for each cell that did not pass, as many as GitHub shows; or one for the tests
    because of which none began."""
    if report.verdict is Verdict.TESTS_FAILED:
        return [annotation("error", report.verdict, report.message)]
    return [
        annotation("error", f"{one.name}: {one.report.verdict}", one.report.message)
        for one in report.failed[: github.ANNOTATIONS]
    ]


def summary(report: MatrixReport) -> str:
    """The matrix in GitHub's Markdown: cells by checks."""
    good = len(report.cells) - len(report.failed)
    heads = "".join(f"<th>{safe(name)}</th>" for name in report.checks)
    lines = [
        f"### {report.verdict.capitalize()}: {safe(report.command)} of {safe(report.deployment)}",
        "",
        f"{good} of {len(report.cells)} cells passed in {spell(round(report.seconds))}. "
        f"Cost: {report.cost}. Run `{report.run}`.",
        "",
        f"<table><tr><th>Cell</th><th>Verdict</th>{heads}</tr>",
    ]
    for one in report.cells:
        cells = "".join(f"<td>{cell(total)}</td>" for total in totals(one.report, report.checks))
        head = f"<td>{safe(one.name)} ({safe(one.title)})</td><td>{one.report.verdict}</td>"
        lines.append(f"<tr>{head}{cells}</tr>")
    lines += ["</table>", "", *github.before(report.before)]
    for one in report.failed if report.verdict is not Verdict.TESTS_FAILED else ():
        message = plain(one.report.message, limit=3000)
        lines += [f"<details><summary>{safe(one.name)}</summary>", _pre(message), ""]
    return "\n".join(lines).encode()[: github.SIZE].decode(errors="ignore") + "\n"


def _pre(text: str) -> str:
    return f"<pre>{safe(text)}</pre></details>"
