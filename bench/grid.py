"""Three groups in four cells on local machines: what waits for nothing but `after` costs.

The critical path of a cell is the time of its slowest machine in each group, one group after the
other; that of the run is the longest of any cell. Twelve machines share this computer, so both are
of the same run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median

from rows import Row, show, spread

from spotdeploy.matrix.report import MatrixReport, read_matrix_report

ROOT = Path(__file__).resolve().parents[1]
WITHIN = 1.15
CONFIG = """
deployment = "{name}"
providers = ["local"]
[matrix]
cell = ["a", "b", "c", "d"]
[nodes]
open_between = "all"
[groups.first]
[groups.second]
after = ["first"]
[groups.third]
after = ["second"]
[[checks]]
type = "systemd"
units = ["bacalhau.service", "sensor-generator.service"]
stable_for = "2s"
[[checks]]
type = "http"
port = 8081
path = "/health"
"""


def cycle(folder: Path) -> tuple[float, float]:
    """Seconds that a cycle takes, from its command to its end without destroying, and those of its
    critical path."""
    folder.mkdir()
    shutil.copytree(ROOT / "instance", folder / "instance")
    (folder / "spotdeploy.toml").write_text(CONFIG.format(name=f"grid-{uuid.uuid4().hex[:6]}"))
    command = [sys.executable, "-m", "spotdeploy"]
    began = time.monotonic()
    done = subprocess.run([*command, "cycle", "--keep", "always"], cwd=folder, check=False)
    seconds = time.monotonic() - began
    subprocess.run([*command, "destroy"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"spotdeploy cycle: {done.returncode}")
    first, *_ = sorted((folder / ".spotdeploy/runs").glob("*/cells.json"))
    return seconds, critical_path(read_matrix_report(first.parent))


def critical_path(report: MatrixReport) -> float:
    """Seconds of the longest way through a cell, machine by machine."""
    return max(
        sum(
            max(node.end - node.start for node in cell.report.nodes_of(group.name))
            for group in cell.report.groups
        )
        for cell in report.cells
    )


def rows(rounds: int = 1) -> list[Row]:
    """Everything measured here."""
    with tempfile.TemporaryDirectory() as name:
        taken = [cycle(Path(name, str(number))) for number in range(rounds)]
    ratios = [seconds / path for seconds, path in taken]
    middle = median(ratios)
    return [
        Row("3 groups x 4 cells", median([s for s, _ in taken]), "s", "", None),
        Row("their critical path", median([path for _, path in taken]), "s", "", None),
        Row(
            "3 groups x 4 cells / their critical path",
            middle,
            "times",
            f"at most {WITHIN}",
            middle <= WITHIN,
            spread(ratios),
        ),
    ]


if __name__ == "__main__":
    show(rows(*map(int, sys.argv[1:2])))
