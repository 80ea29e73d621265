"""Starts Bacalhau: the binary that the user uploaded, or the stand-in where there is none.

The binary is /opt/uploaded_files/bacalhau, its config /opt/uploaded_files/bacalhau-config.yaml. It
becomes this process, so systemd watches Bacalhau itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UPLOADED = Path("/opt/uploaded_files")
STAND_IN = Path(__file__).resolve().parent / "bacalhau_stand_in.py"


def command(uploaded: Path) -> list[str]:
    """The command line to run. Raises PermissionError for a binary that is not executable: it is
    never quietly replaced by the stand-in."""
    binary = uploaded / "bacalhau"
    if not binary.exists():
        return ["/usr/bin/python3", "-B", str(STAND_IN)]
    if not os.access(binary, os.X_OK):
        raise PermissionError(f"{binary} is not executable; upload it with mode 0755")
    config = uploaded / "bacalhau-config.yaml"
    options = ["--config", str(config)] if config.exists() else ["--config", "Compute.Enabled=true"]
    return [str(binary), "serve", *options]


def main() -> None:
    """Become the command."""
    try:
        line = command(UPLOADED)
    except PermissionError as error:
        print(error, file=sys.stderr)
        sys.exit(126)
    print(f"starting {' '.join(line)}", flush=True)
    os.execv(line[0], line)


if __name__ == "__main__":
    main()
