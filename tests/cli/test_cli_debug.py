"""`spotdeploy debug` shows the end of what the payload has to say, and with `--all` everything."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spotdeploy.check import CommandResult
from spotdeploy.cli.debug import LIMIT, LINES, show_diagnostics
from spotdeploy.node import paths
from spotdeploy.node.diagnostics import DIAGNOSTICS, OF_PAYLOAD

Out = pytest.CaptureFixture[str]


def shown(capsys: Out, text: str, *, everything: bool = False) -> str:
    result = CommandResult(0, text, "")
    show_diagnostics([(OF_PAYLOAD[0], result)], as_json=False, everything=everything)
    return capsys.readouterr().out


def test_the_last_lines_are_shown_and_the_others_are_counted(capsys: Out) -> None:
    text = "\n".join(f"line {number}" for number in range(LINES + 40))
    out = shown(capsys, text)
    assert "... 40 lines before these; --all shows them\nline 40\n" in out
    assert f"line {LINES + 39}\n" in out
    assert "before these" not in shown(capsys, text, everything=True)
    assert "line 0\n" in shown(capsys, text, everything=True)


def test_long_lines_are_bounded_too_from_their_end(capsys: Out) -> None:
    out = shown(capsys, f"{'x' * 3 * LIMIT}\n{'y' * (LIMIT - 100)}the end")
    assert len(out) < LIMIT + 200
    assert "\n...xxx" in out
    assert out.endswith("the end\n\n")


def test_data_has_the_same_lines_and_how_many_are_left_out(capsys: Out) -> None:
    text = "\n".join(map(str, range(LINES + 7)))
    show_diagnostics([(OF_PAYLOAD[0], CommandResult(3, text, "why"))], as_json=True)
    (data,) = json.loads(capsys.readouterr().out)
    assert data["stdout"].split("\n")[0] == "7"
    assert (data["left_out"], data["stderr"], data["exit_code"]) == (7, "why", 3)


def test_no_journal_but_that_of_the_payloads_units_is_asked_for() -> None:
    files = [one.file for one in OF_PAYLOAD]
    assert files == ["deployment.log", "failed-units.txt", "units.txt", "journal.txt"]
    assert set(files) <= {one.file for one in DIAGNOSTICS}
    assert "--unit=" in OF_PAYLOAD[-1].command[-1]


def test_units_are_those_that_are_shipped_or_installed_and_none_of_ours(tmp_path: Path) -> None:
    shipped, installed = tmp_path / "payload", tmp_path / "system"
    for path in (
        *(shipped / "units" / "web.service", shipped / "job@.service", shipped / "app.py"),
        *(installed / "db.timer", installed / "spotdeploy-time-to-live.timer"),
        installed / "multi-user.target.wants" / "ssh.service",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    script = OF_PAYLOAD[-1].command[-1].partition("journalctl")[0]
    script = script.replace(paths.PAYLOAD, str(shipped)).replace(
        "/etc/systemd/system", str(installed)
    )
    done = subprocess.run(
        ["sh", "-c", f"{script}echo $units"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["db.timer", "job@*.service", "web.service"]
