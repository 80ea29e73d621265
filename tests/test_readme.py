"""The README says what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_help_in_the_readme_is_the_real_one(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    match = re.search(r"<!-- help -->\n```\n(.*?)```\n<!-- /help -->", text, re.DOTALL)
    assert match is not None
    real = subprocess.run(
        [sys.executable, "-m", "spotdeploy", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert match[1].strip() == real.replace("python -m spotdeploy", "spotdeploy").strip()
