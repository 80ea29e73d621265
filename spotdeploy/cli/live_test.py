"""`spotdeploy plugins test NAME --live`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from spotdeploy.cli.screen import PlainScreen
from spotdeploy.cli.stopping import StopSignals
from spotdeploy.errors import ConfigError
from spotdeploy.events import Bus
from spotdeploy.live.findings import Answer, Findings, Promise
from spotdeploy.live.page import Anonymizer, render
from spotdeploy.live.trial import LIFE, MOST_NODES, live_project, live_test
from spotdeploy.model import Verdict
from spotdeploy.text import below, counted

BROKEN: Final = 1


def run_live(provider: str, config: Path, max_cost: float | None, page: Path | None) -> int:
    """Test a provider on a real account, show what is seen, and write the page.

    Returns the exit code: 1 for a broken promise, 4 when something is left, 130 when stopped.

    Raises SpotdeployError for what was refused before anything was made.
    """
    if max_cost is None:
        raise ConfigError(
            "--live makes a node on a real account, and nothing says what that may cost",
            hint=f"give --max-cost USD: {counted(MOST_NODES, 'node')} for {LIFE} at most",
        )
    page = page or Path(f"live-{provider}.md")
    project = live_project(config, provider, max_cost)
    screen = PlainScreen(sys.stdout)

    def tell(promise: Promise) -> None:
        detail = f": {below(promise.detail, limit=1000)}" if promise.detail else ""
        word = "BROKEN" if promise.answer is Answer.BROKEN else promise.answer
        screen.say(f"  {word}: {promise.text}{detail}")

    screen.say(f"{provider} on a real account, as deployment {project.deployment}")
    bus = Bus(screen, redact=project.hide_secrets().anything)
    with StopSignals(remedy=None) as signals:
        work = live_test(project, bus, tell)
        found, names = asyncio.run(signals.until_stopped(work, screen.say))
    page.write_text(render(found, Anonymizer(names)), encoding="utf-8")
    screen.say(f"page: {page} (names and ids are taken out; read it before you send it)")
    screen.say(_verdict(found))
    return _exit_code(found)


def _verdict(found: Findings) -> str:
    if found.left:
        return "LEAKED: not proven gone:\n" + "\n".join(f"  {one}" for one in found.left)
    if found.stopped:
        return "STOPPED: nothing is left"
    if found.broken:
        return f"BROKEN: {counted(len(found.broken), 'promise')}; nothing is left"
    return "KEPT: every promise that could be looked at; nothing is left"


def _exit_code(found: Findings) -> int:
    if found.left:
        return Verdict.LEAKED.exit_code
    if found.stopped:
        return Verdict.STOPPED.exit_code
    return BROKEN if found.broken else Verdict.PASSED.exit_code
