"""The screen of `spotdeploy doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from spotdeploy.cli.examine import Findings

HEALTHY, ILL = 0, 3


def show_problems(findings: Sequence[Findings], *, as_json: bool) -> int:
    """Print what was found; return 0 when nothing would stop a run, else 3."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(findings)).decode() + "\n")
    else:
        sys.stdout.write("\n".join(line for one in findings for line in _lines(one)) + "\n")
    return ILL if any(p.fatal for one in findings for p in one.problems) else HEALTHY


def _lines(findings: Findings) -> list[str]:
    account = f" (account {findings.account})" if findings.account else ""
    if not findings.problems:
        return [f"{findings.where}{account}: well"]
    lines = [f"{findings.where}{account}:"]
    for problem in findings.problems:
        kind = "problem" if problem.fatal else "warning"
        lines += [f"  {kind}: {problem.what}", f"  try: {problem.remedy}"]
    return lines
