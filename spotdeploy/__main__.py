"""The command's entry: run the app, show our own errors in one place, end with the exit code."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  # of `python -m spotdeploy`
    del sys.path[0]  # the folder that it runs in may be anybody's

from typing import Final

BUG: Final = 70
"""The exit code of a traceback: a bug must not look like a failed payload, which is 1."""

STOPPED: Final = 130
"""Of a command that a signal ended before it had begun anything."""


def main() -> None:
    """Run spotdeploy with the arguments of this process."""
    from spotdeploy.cli.streams import harden
    from spotdeploy.errors import SpotdeployError

    harden()
    try:
        from spotdeploy.cli import build_app

        build_app(sys.argv[1:])()
    except SpotdeployError as error:
        from spotdeploy.cli.errors import show

        show(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except Exception as error:  # noqa: BLE001  # shown whole, under an exit code of its own
        from spotdeploy.cli.errors import show_trace

        show_trace(error)
        sys.exit(BUG)


if __name__ == "__main__":
    main()
