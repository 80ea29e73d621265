"""What cannot be proven gone ends the command with exit code 4, named with how to end it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIG = """
deployment = "leaky"
providers = ["fake"]
keep = "never"
[nodes]
count = 2
[payload]
path = "instance"
entry = "e.sh"
[timeouts]
boot = "1s"
destroy = "2s"
[provider.fake]
faults = [{ kind = "stuck" }]
"""


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spotdeploy", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_machine_that_never_goes_is_exit_code_4_and_the_next_cycle_creates_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "e.sh").write_text("true\n")
    (tmp_path / "spotdeploy.toml").write_text(CONFIG)
    for _ in range(2):
        done = run(tmp_path, "cycle")
        assert done.returncode == 4, done
        assert "LEAKED: not proven gone: leaky-m-" in done.stdout
        assert "; whatever else is in fake here" in done.stdout
        assert "by hand: remove m-" in done.stdout
    assert "Creating" not in done.stdout
