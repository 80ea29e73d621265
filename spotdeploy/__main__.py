"""The command's entry: run the app, show our own errors in one place, end with the exit code."""

from __future__ import annotations

import errno
import os
import sys

if __name__ == "__main__" and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109  # of `python -m spotdeploy`
    del sys.path[0]  # the folder that it runs in may be anybody's

from typing import Final, NoReturn

BUG: Final = 70
"""The exit code of a traceback: a bug must not look like a failed payload, which is 1."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
STOPPED: Final = 130
"""Of a command that a signal ended before it had begun anything."""


def main() -> None:
    """Run spotdeploy with the arguments of this process."""
    from spotdeploy.cli.streams import harden

    harden()
    try:
        _run()
    except SystemExit as end:
        try:
            sys.stdout.flush()
        except OSError as error:
            _show_unwritten(error)
        sys.exit(end.code)


def _run() -> None:
    from spotdeploy.errors import SpotdeployError

    try:
        from spotdeploy.cli import build_app

        build_app(sys.argv[1:])()
    except SpotdeployError as error:
        from spotdeploy.cli.errors import show

        show(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            _show_unwritten(error)
        _show_bug(error)
    except Exception as error:  # noqa: BLE001  # shown whole, under an exit code of its own
        _show_bug(error)


def _show_bug(error: Exception) -> NoReturn:
    from spotdeploy.cli.errors import show_trace

    show_trace(error)
    sys.exit(BUG)


def _show_unwritten(error: OSError) -> NoReturn:
    """What a command has to say does not fit where its output goes; nothing is written any more."""
    from spotdeploy.cli.errors import show
    from spotdeploy.errors import HostError

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    full = HostError(f"cannot write to standard output: {error.strerror}", hint="free disk space")
    show(full)
    sys.exit(full.exit_code)


if __name__ == "__main__":
    main()
