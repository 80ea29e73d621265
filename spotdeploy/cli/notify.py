"""Telling somebody else how a run ended: a command of this computer, or a web hook."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from spotdeploy.config.schema import Notify
from spotdeploy.duration import spell
from spotdeploy.matrix.report import MatrixReport
from spotdeploy.report.event_log import PAGE
from spotdeploy.report.model import RunReport
from spotdeploy.text import plain

TIMEOUT: Final = 10.0
"""Seconds for each of the two. A CI runner kills a job some ten seconds after it was cancelled, so
a stopped run has `TIMEOUT_STOPPED`."""
TIMEOUT_STOPPED: Final = 3.0
STOPPED: Final = 130
"""The exit code of a run that was stopped."""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What is told, as JSON."""

    deployment: str
    run: str
    command: str
    """`cycle`, `create` or `verify`."""
    verdict: str
    exit_code: int | None
    message: str
    """The verdict's line, as on the screen."""
    passed: int
    """Nodes that passed, of `desired`."""
    desired: int
    seconds: float
    usd: float
    """What the run cost, as far as prices are known."""
    left: tuple[str, ...]
    """What could not be proven gone, each with how to end it by hand."""
    report: str
    """The path of report.html on this computer."""


def news(report: RunReport | MatrixReport, folder: Path) -> News:
    """What is told of a run whose files are in `folder`."""
    whole = [cell.report for cell in report.cells] if isinstance(report, MatrixReport) else [report]
    return News(
        deployment=report.deployment,
        run=report.run,
        command=report.command,
        verdict=str(report.verdict),
        exit_code=report.exit_code,
        message=report.message,
        passed=report.passed,
        desired=report.desired,
        seconds=round(report.seconds, 1),
        usd=round(report.cost.usd, 6),
        left=tuple(what for one in whole for what in one.left),
        report=str(folder / PAGE),
    )


def tell(notify: Notify, told: News, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Tell it, as the config says, and return what went wrong. Commands run in `folder`. Blocks for
    `TIMEOUT` seconds at most for each."""
    if notify.when == "failed" and told.exit_code == 0:
        return []
    seconds = TIMEOUT_STOPPED if told.exit_code == STOPPED else TIMEOUT
    data = msgspec.json.encode(told)
    problems = []
    if notify.command:
        variables = {**environment, **_variables(told)}
        problems.append(_run(notify.command, data, folder, variables, seconds))
    if notify.webhook is not None:
        problems.append(_post(notify, data, seconds))
    return [problem for problem in problems if problem]


class _Straight(HTTPRedirectHandler):
    """Follows no redirect: urllib would go on with a GET, without what was to be told."""

    def redirect_request(self, *_: Any) -> None:
        """What follows is the error that the answer is."""


def _variables(told: News) -> dict[str, str]:
    values: dict[str, Any] = msgspec.structs.asdict(told)
    return {
        f"SPOTDEPLOY_{name.upper()}": str(values[name])
        for name in ("deployment", "run", "command", "verdict", "exit_code", "message", "report")
    }


def _run(
    command: str, data: bytes, folder: Path, environment: Mapping[str, str], seconds: float
) -> str:
    """Why the command did not do; empty when it did."""
    what = f"notify.command {plain(command, limit=80)!r}"
    try:
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        return f"{what}: {error.strerror}"
    try:
        output, _ = process.communicate(data, timeout=seconds)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{what} did not end within {spell(seconds)} and was killed"
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
    if process.returncode == 0:
        return ""
    said = plain(output.decode(errors="replace"), limit=300)
    return f"{what} ended with {process.returncode}{f': {said}' if said else ''}"


def _post(notify: Notify, data: bytes, seconds: float) -> str:
    """Why the web hook did not take it; empty when it did. Its address is a secret."""
    headers = {"Content-Type": "application/json", "User-Agent": "spotdeploy"}
    try:
        url = notify.hook()
        request = Request(url, data, headers)  # noqa: S310  # `hook` gives no others than https
        with build_opener(_Straight).open(request, timeout=seconds):
            return ""
    except HTTPError as error:
        error.close()
        return f"notify.webhook answered {error.code}"
    except ValueError as error:
        return f"notify.webhook: {error}"
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        return f"notify.webhook: {plain(str(reason), limit=200)}"
